"""Several causes at one place, told apart by the tokens that each of them leaves alone.

Positions that begin anew, a window, a rotation are nothing to the first tokens, a look into the future is nothing to
the last: what explains those few is one of the causes, and what is left is looked for beside it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.several import MOST_FIRST, Look, beside, fitted_together, grown, joined
from probe.diagnose.tried import Tried, explains
from probe.locate import ABOVE_FLOOR

Explain = Callable[[Case], Sequence[tuple[Tried, ...]]]


def through_few_tokens(case: Case, explain: Explain, look: Look) -> tuple[Tried, ...]:
    """What explains few tokens, and with it all the others; may be empty."""
    if len({hypothesis.cause for hypothesis in look(case)}) < 2:
        return ()
    for few in _of_few_tokens(case):
        if case.is_spent:
            break
        if few.before > ABOVE_FLOOR * few.error.floor * few.growth:
            for parts in explain(few)[:MOST_FIRST]:
                several = _of_all(case, parts, look)
                if several:
                    return several
    return ()


def _of_all(case: Case, parts: tuple[Tried, ...], look: Look) -> tuple[Tried, ...]:
    """As few tokens have it, or with what they leave open settled by all, or with what is left named beside it."""
    after = case.distance(joined(parts).run(case))
    kept = tuple(replace(part, after=after) for part in parts)
    for here in (kept, fitted_together(case, kept)):
        if explains(case, here[0].after, joined(here)):
            return here
    return grown(case, kept, list(look(beside(case, kept))))


def _of_few_tokens(case: Case) -> Iterator[Case]:
    """The place as its first half, its first quarter, its first token and its last token show it."""
    shape = case.exact.shape
    if len(shape) < 3 or max(shape[1:-1]) < 2 or not case.exact.is_floating_point():
        return
    axis = max(range(1, len(shape) - 1), key=lambda axis: shape[axis])
    length, total = shape[axis], max(1, int(case.counts.sum()))
    for first, end in ((0, length // 2), (0, length // 4), (0, 1), (length - 1, length)):
        here = torch.zeros_like(case.counts)
        here.narrow(axis, first, end - first).copy_(case.counts.narrow(axis, first, end - first))
        if share := int(here.sum()) / total:
            yield replace(case, kept=here, error=replace(case.error, floor=case.error.floor * math.sqrt(share)))
