"""How much of the candidate's output error the findings explain: they are planted into the reference, end to end."""

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from probe.align.mapping import Mapping
from probe.diagnose.merge import Found
from probe.diagnose.output import Output
from probe.dump import Dump
from probe.replay.arithmetic import InFloat64
from probe.report import Finding

MOST_SINGLY = 6
"""Findings that are each planted alone too: a forward of the reference for every one."""
LESS_THAN_HALF = 0.5**0.5
"""Of the output's error: what moves the output by less explains less of it, squared, than rounding does."""

NEARLY_ALL = 0.99
AS_ROUNDING = 10.0
"""Times what rounding makes of the output once all is planted, squared: 0.2 to 9.3 was left in eight Gemmas run by
llama.cpp with a wrong eps, whose GELU a table of float16 rounds: few numbers jump by much, others in each run."""


def proved(
    reference: Dump, candidate: Dump, mapping: Mapping, model: nn.Module, found: Sequence[Found]
) -> tuple[tuple[Finding, ...], float | None]:
    """The findings, each with its share, and the share of all of them together; None where that cannot be measured.

    A share is 1 - (||c - r'|| / ||c - r||)**2 of the model's output: c the candidate's, r the reference's, r' the
    reference's with the finding planted; 1 explains all of it, and what makes it worse counts as 0.
    """
    output = Output.of(reference, candidate, mapping, model) if found else None
    before = output.distance(output.candidate, output.planted(())) if output else 0.0
    if output is None or not before > 0:
        return tuple(one.finding for one in found), None

    def share(planted: Sequence[Found]) -> float | None:
        return _share(output.distance(output.candidate, output.planted(planted)), before)

    together = share(found)
    singly = found if 1 < len(found) <= MOST_SINGLY else []
    shares = [share([one]) for one in singly] or [together if len(found) == 1 else None]
    shares += [None] * (len(found) - len(shares))
    return tuple(replace(one.finding, share=share) for one, share in zip(found, shares, strict=True)), together


def rounding_left(
    reference: Dump, candidate: Dump, mapping: Mapping, model: nn.Module, found: Sequence[Found], share: float | None
) -> tuple[str, ...]:
    """A note on what `proved` leaves, where that is no more than the planted reference itself moves by rounding: in
    float32 beside float64, where a coarse step of it (a table's, a narrow store's) jumps at other numbers."""
    coarse = [one.finding for one in found if one.finding.cause.startswith("precision.")]
    output = Output.of(reference, candidate, mapping, model) if share is not None and share < NEARLY_ALL else None
    if output is None or share is None or not coarse:
        return ()
    low = output.planted(found)
    with InFloat64():
        high = output.planted(found)
    own = (output.distance(low, high) / output.distance(output.candidate, output.planted(()))) ** 2
    if not 1 - share <= AS_ROUNDING * own:
        return ()
    return (
        f"the {1 - share:.1%} of the output's error that the findings leave is of the size of rounding in them "
        f"({own:.1%} between float32 and float64): {coarse[0].module} jumps at other numbers in each run",
    )


def weighed(
    reference: Dump,
    candidate: Dump,
    mapping: Mapping,
    model: nn.Module,
    found: Sequence[Found],
    hidden: Sequence[Found],
    *,
    is_all: bool,
) -> tuple[Finding, ...]:
    """Findings below the floor, told what each does to the output: ||r' - r|| / ||c - r||, without rounding.

    r is the reference's output with what was `found` above the floor planted, r' the same with the finding too. What
    error is left then is rounding, if that `is_all` that is at fault.
    """
    output = Output.of(reference, candidate, mapping, model) if hidden else None
    if output is None:
        return tuple(one.finding for one in hidden)
    with InFloat64():
        r = output.planted(found)
        others = [output.planted([*found, one]) if one.plantings else None for one in hidden[:MOST_SINGLY]]
    others += [None] * (len(hidden) - len(others))
    left = output.distance(output.candidate, r)
    return tuple(
        _told(one.finding, output.distance(other, r) / left if left > 0 else math.nan, is_all)
        for one, other in zip(hidden, others, strict=True)
    )


def _told(finding: Finding, effect: float, is_all: bool) -> Finding:
    if not math.isfinite(effect):
        return finding
    size = f"{effect:.2g} of the output's error"
    is_less = is_all and effect < LESS_THAN_HALF
    words = f"below the output's own rounding ({size})" if is_less else size
    return replace(finding, message=f"{finding.message}; its effect on the output is {words}")


def _share(after: float, before: float) -> float | None:
    share = 1 - (after / before) ** 2
    return max(share, 0.0) if share == share else None
