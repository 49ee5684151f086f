"""Plans that round: a number halfway between two is no error, whichever of them it becomes."""

from collections.abc import Callable

import torch

from probe.diagnose.blocks import LEAN
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Plan, computed
from probe.diagnose.tried import LESS, explains

Rounded = Callable[[float], Plan]
"""The plan whose numbers grow by so much of themselves before they are rounded."""


def is_explained(case: Case, plan: Rounded) -> bool:
    """Whether a place is brought to its floor, or to what numbers that lie halfway between two leave open."""
    values = computed(case, case.program, plan(0.0))
    if values is None:
        return False
    after = case.distance(values)
    if explains(case, after):
        return True
    up, down = (computed(case, case.program, plan(lean)) for lean in (LEAN, -LEAN))
    if up is None or down is None:
        return False
    apart = float(torch.linalg.vector_norm((up - down)[case.counts].double()))
    return 0 < apart <= LESS * case.before and explains(case, max(0.0, after - apart))
