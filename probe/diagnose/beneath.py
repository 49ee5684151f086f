"""Bugs below the floor: what no norm of an error shows, but many small differences that all point the same way do.

In bf16 an eps of 1e-5 for 1e-6 moves no number by a thousandth of a rounding: it makes a few elements in a thousand
round to the other side. So each hypothesis with a usual value is held against every place, twice: in the candidate's
precision, where the elements that it rounds otherwise are looked up in the candidate (flips), and in float64, where the
candidate's error is projected on what the hypothesis would do (projection). Evidence is summed over layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from probe.diagnose import attention_scores, branch, embedding_scale, head, mlp, norm_eps, rope_angles
from probe.diagnose.case import Case
from probe.diagnose.evidence import along, apart, flips, in_units, moments, weights
from probe.diagnose.hypothesis import Family, Hypothesis, Plan, computed, hypotheses_of, planned
from probe.diagnose.ways import Manner, manner_of, way_of
from probe.diagnose.witness import Witness
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.locate import ABOVE_FLOOR, at_fault
from probe.replay.arithmetic import InFloat64
from probe.replay.program import Program

FAMILIES: tuple[Family, ...] = (
    norm_eps.eps,
    embedding_scale.rounding,
    attention_scores.softcap,
    rope_angles.stretched,
    head.softcap,
    mlp.activation,
    branch.scale,
)
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
        hypotheses = list(usual(replace(case, program=program)))
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    kind = max(narrow, case.exact.dtype, key=lambda one: _COARSER.get(one, 0))
    candidate = case.candidate.to(kind)
    way = way_of(case, program, candidate, narrow)
    manner = manner_of(case, way)
    if not hypotheses:
        return Seen((), manner)
    with InFloat64():
        exact = program.value(program.result)
    with torch._C.DisableTorchFunction():  # each call through the precision's mode costs more than its sum
        ours = case.exact.double() - exact
        counts = case.counts & ours.isfinite()
        units = weights(ours, counts)
        theirs = in_units(apart(candidate.double() - exact, ours, units), units)
        ours = in_units(ours, units)
    found = []
    for hypothesis, value, plan in hypotheses:
        with InFloat64():
            wide = computed(case, program, plan)
        if wide is None:
            continue
        with torch._C.DisableTorchFunction():
            d = wide - exact
            if torch.linalg.vector_norm(torch.where(case.counts, d, 0.0)) > TOO_LARGE * case.error.floor:
                continue
            d = in_units(d, units)
        changed = computed(case, case.program, plan.joined(way.plan))
        if changed is None:
            continue
        with torch._C.DisableTorchFunction():
            evidence = {
                "flips": flips(way.values, changed.to(kind), candidate, case.counts),
                "projection": moments(d, theirs),
                "control": along(d, ours),
            }
        found.append(Witness.of(case, hypothesis, value, plan, **evidence))
    return Seen(tuple(found), manner)


def usual(case: Case) -> Iterable[tuple[Hypothesis, object, Plan]]:
    """What is asked of a place; a value that cannot be planted there is not."""
    for family in FAMILIES:
        for hypothesis in hypotheses_of(family, case):
            for value in hypothesis.usual:
                plan = planned(hypothesis, value)
                if plan is not None:
                    yield hypothesis, value, plan
