"""A bug that decoded tokens show alone: every hypothesis, planted from the first step at fault on.

What the steps before computed is right, so that only their successors' tokens are compared, and only what is computed
for those is changed: a rotation of later keys leaves the cached ones as they were.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch

from probe.diagnose.case import Case, Since
from probe.diagnose.hypothesis import Change, Hypothesis, Plan
from probe.locate import first_step
from probe.replay.by_step import token_axis
from probe.replay.program import Edit

OF_THE_CACHE = {"input.positions": "cache.position", "rope.position": "cache.position"}
"""What a cause is called that only decoding shows."""

LAST = 16
"""Steps before the first at fault at which something too small to be seen there may have begun."""


def of_steps(case: Case) -> Case:
    """The place as the tokens of the steps at fault show it; as it is where the first step is at fault too."""
    steps, onset = case.error.steps, first_step(case.error)
    if onset is None or not onset.start:
        return case
    begins = [step.start for step in steps if step.start <= onset.start]
    since = Since(onset.step, onset.start, steps[-1].stop, tuple(dict.fromkeys([begins[0], *begins[-LAST:]])))
    axis = token_axis(case.exact.shape, since.num_tokens)
    if axis is None:
        return case
    here = torch.arange(since.num_tokens).reshape(*[1] * axis, -1) >= since.start
    floor = math.sqrt(sum(step.floor**2 for step in steps if step.start >= since.start))
    return replace(case, since=since, kept=here, error=replace(case.error, floor=floor))


def while_decoding(case: Case, hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """The same where the place is not one of decoding."""
    for hypothesis in hypotheses:
        yield hypothesis if case.since is None else _later(hypothesis, case.since)


def _later(hypothesis: Hypothesis, since: Since) -> Hypothesis:
    return replace(
        hypothesis,
        cause=OF_THE_CACHE.get(hypothesis.cause, hypothesis.cause),
        plan=lambda value: from_then_on(hypothesis.plan(value), since),
        message=lambda value: f"from step {since.step} on, and not before: {hypothesis.message(value)}",
        harmless=False,
    )


def from_then_on(plan: Plan, since: Since) -> Plan:
    """Its changes, of the tokens from `since` on alone; weights stay changed for all, since only those are compared."""
    return replace(
        plan,
        edits={call: _edit(edit, since) for call, edit in plan.edits.items()},
        terms=tuple((factor, from_then_on(term, since)) for factor, term in plan.terms),
        taps={leaf: _change(change, since) for leaf, change in plan.taps.items()},
        place=None if plan.place is None else _change(plan.place, since),
    )


def _edit(edit: Edit, since: Since) -> Edit:
    def edited(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = function(*args, **kwargs)
        return _joined(before, edit(function, args, kwargs), since)

    return edited


def _change(change: Change, since: Since) -> Change:
    return lambda tensor: _joined(tensor, change(tensor), since)


def _joined(before: Any, now: Any, since: Since) -> Any:
    """ValueError where there are no tokens to tell apart."""
    if not isinstance(before, torch.Tensor) or before.shape != now.shape:
        raise ValueError("the change has another shape")
    axis = token_axis(before.shape, since.num_tokens)
    if axis is None:
        raise ValueError("no axis is that of the tokens")
    later = torch.arange(since.num_tokens, device=before.device) >= since.start
    return torch.where(later.reshape(-1, *[1] * (before.dim() - axis - 1)), now, before)
