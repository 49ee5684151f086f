"""Bugs below the floor: what no norm of an error shows, but many small differences that all point the same way do.

In bf16 an eps of 1e-5 for 1e-6 moves no number by a thousandth of a rounding: it makes a few elements in a thousand
round to the other side. So each hypothesis with a usual value is held against every place, twice: in the candidate's
precision, where the elements that it rounds otherwise are looked up in the candidate (flips), and in float64, where the
candidate's error is projected on what the hypothesis would do (projection). Evidence is summed over layers.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch

from probe.diagnose import attention_scores, head, mlp, norm_eps
from probe.diagnose.case import Case
from probe.diagnose.evidence import apart, flips, projection
from probe.diagnose.hypothesis import UNFIT, Family, Hypothesis, Plan, hypotheses_of
from probe.diagnose.variants import variants
from probe.diagnose.witness import Witness
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.locate import at_fault
from probe.replay.arithmetic import InFloat64
from probe.replay.program import Program

FAMILIES: tuple[Family, ...] = (norm_eps.eps, attention_scores.softcap, head.softcap, mlp.activation)
"""Those whose hypotheses have usual values."""
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


def witnesses_of(case: Case) -> list[Witness]:
    """`case` computes as the candidate does, of weights as the candidate has them.

    Flips: of the elements that a hypothesis rounds otherwise, who is right? Projection: on what it does in float64,
    once for the candidate and once for the reference's own rounding, which must not show it.
    """
    exact_program = Program(case.program.result)
    with InFloat64():
        exact = exact_program.value(exact_program.result)
        hypotheses = list(_usual(replace(case, program=exact_program)))
    if not hypotheses:
        return []
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    kind = max(narrow, case.exact.dtype, key=lambda one: _COARSER.get(one, 0))
    candidate = case.candidate.to(kind)
    way, plain = _way(case, candidate, narrow, kind)
    ours, theirs = case.exact.double() - exact, candidate.double() - exact
    counts = case.counts & ours.isfinite()
    theirs = apart(theirs, ours, counts)
    found = []
    for hypothesis, value in hypotheses:
        plan = hypothesis.plan(value)
        with InFloat64():
            wide = _computed(case, exact_program, plan)
        changed = _computed(case, case.program, plan.joined(way))
        if wide is None or changed is None:
            continue
        d = wide - exact
        found.append(
            Witness.of(
                case,
                hypothesis,
                value,
                flips=flips(plain, changed.to(kind), candidate, case.counts),
                projection=projection(d, theirs, ours, counts),
                control=projection(d, ours, ours, counts),
            )
        )
    return found


def _way(case: Case, candidate: torch.Tensor, narrow: torch.dtype, kind: torch.dtype) -> tuple[Plan, torch.Tensor]:
    """The legal variant of the arithmetic that has most elements in common with the candidate, and what it gives."""
    way, plain = Plan(), case.exact.to(kind)
    for variant in variants(case, narrow):
        other = _computed(case, case.program, variant.plan)
        if other is not None and _unlike(other.to(kind), candidate, case) < _unlike(plain, candidate, case):
            way, plain = variant.plan, other.to(kind)
    return way, plain


def _unlike(values: torch.Tensor, candidate: torch.Tensor, case: Case) -> int:
    return int(((values != candidate) & case.counts).sum())


def _usual(case: Case) -> Iterable[tuple[Hypothesis, object]]:
    for family in FAMILIES:
        for hypothesis in hypotheses_of(family, case):
            for value in hypothesis.usual:
                yield hypothesis, value


def _computed(case: Case, program: Program, plan: Plan) -> torch.Tensor | None:
    """None where the plan cannot be run, or has another shape or no numbers as its result."""
    try:
        changed = program.run(plan.edits, plan.leaves)
    except UNFIT:
        return None
    return changed if changed.shape == case.exact.shape and changed.is_floating_point() else None
