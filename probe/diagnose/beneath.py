"""Bugs below the floor: what no norm of an error shows, but many small differences that all point the same way do.

In bf16 an eps of 1e-5 for 1e-6 moves no number by a thousandth of a rounding: it makes a few elements in a thousand
round to the other side. So each hypothesis with a usual value is held against every place, twice: in the candidate's
precision, where the elements that it rounds otherwise are looked up in the candidate (flips), and in float64, where the
candidate's error is projected on what the hypothesis would do (projection). Evidence is summed over layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from probe.diagnose import attention_scores, branch, head, mlp, norm_eps
from probe.diagnose.case import Case
from probe.diagnose.evidence import apart, flips, projection
from probe.diagnose.hypothesis import Family, Hypothesis, computed, hypotheses_of
from probe.diagnose.ways import Manner, manner_of, way_of
from probe.diagnose.witness import Witness
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.locate import ABOVE_FLOOR, at_fault
from probe.replay.arithmetic import InFloat64
from probe.replay.program import Program

FAMILIES: tuple[Family, ...] = (norm_eps.eps, attention_scores.softcap, head.softcap, mlp.activation, branch.scale)
"""Those whose hypotheses have usual values."""
TOO_LARGE = 2 * ABOVE_FLOOR
"""In floors: what does more than this would stand above the floor, with whatever else there is."""
_COARSER = {torch.bfloat16: 3, torch.float16: 2, torch.float32: 1, torch.float64: 0}


def is_beneath(case: Case) -> bool:
    """Whether a place is one to look at: firm, no larger than its floor allows, of numbers."""
    error = case.error
    return (
        error.pair.firm
        and not error.elsewhere
        and not at_fault(error)
        and case.exact.is_floating_point()
        and case.candidate.shape == case.exact.shape
        and UNIT_ROUNDOFF.get(error.pair.sources[0].tap.dtype, 0.0) > UNIT_ROUNDOFF["float32"]
    )


@dataclass(frozen=True)
class Seen:
    """What one place says."""

    witnesses: tuple[Witness, ...]
    manner: Manner | None


def look_beneath(case: Case) -> Seen:
    """`case` computes as the candidate does, of weights as the candidate has them.

    Flips: of the elements that a hypothesis rounds otherwise, who is right? Projection: on what it does in float64,
    once for the candidate and once for the reference's own rounding, which must not show it.
    """
    program = Program(case.program.result)
    with InFloat64():
        exact = program.value(program.result)
        hypotheses = list(usual(replace(case, program=program)))
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    kind = max(narrow, case.exact.dtype, key=lambda one: _COARSER.get(one, 0))
    candidate = case.candidate.to(kind)
    way = way_of(case, program, candidate, narrow)
    ours = case.exact.double() - exact
    counts = case.counts & ours.isfinite()
    theirs = apart(candidate.double() - exact, ours, counts)
    found = []
    for hypothesis, value in hypotheses:
        plan = hypothesis.plan(value)
        with InFloat64():
            wide = computed(case, program, plan)
        if wide is None:
            continue
        d = wide - exact
        if torch.linalg.vector_norm(d[case.counts]) > TOO_LARGE * case.error.floor:
            continue
        changed = computed(case, case.program, plan.joined(way.plan))
        if changed is None:
            continue
        found.append(
            Witness.of(
                case,
                hypothesis,
                value,
                flips=flips(way.values, changed.to(kind), candidate, case.counts),
                projection=projection(d, theirs, ours, counts),
                control=projection(d, ours, ours, counts),
            )
        )
    return Seen(tuple(found), manner_of(case, way))


def usual(case: Case) -> Iterable[tuple[Hypothesis, object]]:
    """What is asked of a place."""
    for family in FAMILIES:
        for hypothesis in hypotheses_of(family, case):
            for value in hypothesis.usual:
                yield hypothesis, value
