"""residual.scale below the floor: the factor of a branch, estimated from the error that lies along the branch."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis
from probe.diagnose.residual import scaled, sums, times
from probe.replay.program import Call

STEP = 1e-3
LEAST = 0.02
"""Relative: a factor that is off by less may be one that the port rounded, 0.22 to 0.2197 in bfloat16."""


def scale(case: Case) -> Iterator[Hypothesis]:
    """One of two summands with another factor, of two digits."""
    for call in sums(case):
        for position in (0, 1):
            off = _off(case, call, position)
            if off is not None and LEAST < abs(off) < 1:
                yield scaled(call, position, 1 + off)


def _off(case: Case, call: Call, position: int) -> float | None:
    """By least squares, what the factor is more than 1; the effect is small, so that one step will do."""
    here = case.program.value(case.program.result)
    there = case.program.run({call: times(position, 1 + STEP)})
    with torch._C.DisableTorchFunction():  # float64 already
        slope = torch.where(case.counts, (there - here) / STEP, 0.0)
        error = torch.where(case.counts, case.candidate.double() - here, 0.0)
        size = float(slope.square().sum())
        return float((slope * error).sum()) / size if size > 0 else None


FAMILIES = [scale]
