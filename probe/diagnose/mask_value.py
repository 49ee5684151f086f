"""Which number a mask puts where something is hidden: one not far enough below, or minus infinity."""

import math
from collections.abc import Callable, Iterator

import torch

from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.score_edits import remasked
from probe.diagnose.scores import Scores

NUMBERS = tuple(10.0**tenth for tenth in range(11))


def filled(scores: torch.Tensor, hidden: torch.Tensor, value: float) -> torch.Tensor:
    """In whatever dtype; the lowest number there is stays the lowest."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(hidden.to(scores.device), value if value == -math.inf else max(value, lowest))


def numbers(scores: Scores) -> Iterator[Hypothesis]:
    """attn.mask_value: a number for minus infinity that is not far enough below, added to scores or in their place."""
    hidden = scores.hidden
    yield _number(scores, "is added to", lambda opened, number: opened - hidden.to(opened) * number)
    yield _number(scores, "stands for", lambda opened, number: filled(opened, hidden, -number))

    if scores.masked_value > -torch.finfo(torch.float32).max:
        yield _infinite(scores)


def _infinite(scores: Scores) -> Hypothesis:
    """Tokens that see nothing, as padding may, have NaN where the reference has a mean."""
    own, hidden = scores.masked_value, scores.hidden
    return Hypothesis(
        "attn.mask_value",
        lambda _: Plan(remasked(scores, lambda opened: opened.masked_fill(hidden, -math.inf))),
        lambda _: (
            f"minus infinity stands for masked scores where the reference has {own:.3g}: tokens that see nothing are "
            "NaN; look for the mask's constant"
        ),
        reference_value=own,
        candidate_value=lambda _: "-inf",
        module=scores.core.module,
    )


def _number(scores: Scores, how: str, change: Callable[[torch.Tensor, float], torch.Tensor]) -> Hypothesis:
    own = scores.masked_value
    return Hypothesis(
        "attn.mask_value",
        lambda number: Plan(remasked(scores, lambda opened: change(opened, number))),
        lambda number: (
            f"{-number:.3g} {how} masked scores where the reference has {own:.3g}: look for the mask's constant"
        ),
        NUMBERS,
        scale="log",
        reference_value=own,
        candidate_value=lambda number: -number,
        module=scores.core.module,
    )
