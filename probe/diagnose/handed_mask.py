"""A mask that is itself the tap at fault: one module builds it and hands it to others."""

from collections.abc import Iterator

import torch

from probe.diagnose.attention_mask import patterns
from probe.diagnose.case import Case
from probe.diagnose.edits import result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.masks import Pattern, pattern_of
from probe.replay.measure import MASKED
from probe.replay.program import Leaf


def handed_over(case: Case) -> Iterator[Hypothesis]:
    """The patterns of attention_mask.py, with the candidate's number: the lowest one is another in each dtype."""
    ours, theirs = _hidden(case.exact), _hidden(case.candidate)
    if ours is None or theirs is None:
        return
    pattern = pattern_of(ours)

    def plan(other: Pattern) -> Plan:
        hidden = other.hidden()
        is_bool = case.exact.dtype == torch.bool
        opened = torch.zeros_like(case.exact)
        return replaced(case, ~hidden if is_bool else opened.masked_fill(hidden, float(case.candidate.min())))

    if pattern is not None:
        yield from patterns(pattern, plan)


def _hidden(mask: torch.Tensor) -> torch.Tensor | None:
    """(..., T, S) of a mask that is false, or far below, where something is hidden; None of other tensors.

    Where attention goes block by block, a block's T tokens are the last of the S that it sees.
    """
    if mask.dim() < 4:
        return None
    if mask.dtype == torch.bool:
        return ~mask
    if not mask.is_floating_point() or not ((mask == 0) | (mask < MASKED)).all():
        return None
    return mask < MASKED


def replaced(case: Case, tensor: torch.Tensor) -> Plan:
    """The tap itself is another tensor."""
    value = case.program.result
    if isinstance(value, Leaf):
        return Plan(leaves={value: tensor})
    return Plan({value.call: result(lambda made: tensor.to(made))})


FAMILIES = [handed_over]
