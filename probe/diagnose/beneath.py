"""Bugs below the floor: what no norm of an error shows, but many small differences that all point the same way do.

In bf16 an eps of 1e-5 for 1e-6 moves no number by a thousandth of a rounding: it makes a few elements in a thousand
round to the other side. So each hypothesis with a usual value is held against every place, twice: in the candidate's
precision, where the elements that it rounds otherwise are looked up in the candidate (flips), and in float64, where the
candidate's error is projected on what the hypothesis would do (projection). Evidence is summed over layers.
"""

from collections.abc import Iterable

import torch

from probe.diagnose import norm_eps
from probe.diagnose.case import Case
from probe.diagnose.evidence import flips, projection
from probe.diagnose.hypothesis import Family, Hypothesis, Plan
from probe.diagnose.variants import variants
from probe.diagnose.witness import Witness
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.locate import at_fault

FAMILIES: tuple[Family, ...] = (norm_eps.eps,)
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


def in_low_precision(case: Case) -> list[Witness]:
    """`case` computes as the candidate does: of elements that a hypothesis rounds otherwise, who is right?"""
    hypotheses = list(_usual(case))
    if not hypotheses:
        return []
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    kind = max(narrow, case.exact.dtype, key=lambda one: _COARSER.get(one, 0))
    candidate = case.candidate.to(kind)
    way, plain = Plan(), case.exact.to(kind)
    for variant in variants(case, narrow):
        other = _computed(case, variant.plan)
        if other is not None and _unlike(other.to(kind), candidate, case) < _unlike(plain, candidate, case):
            way, plain = variant.plan, other.to(kind)
    found = []
    for hypothesis, value in hypotheses:
        changed = _computed(case, hypothesis.plan(value).joined(way))
        if changed is not None:
            seen = flips(plain, changed.to(kind), candidate, case.counts)
            found.append(Witness.of(case, hypothesis, value, flips=seen))
    return found


def _unlike(values: torch.Tensor, candidate: torch.Tensor, case: Case) -> int:
    return int(((values != candidate) & case.counts).sum())


def in_float64(case: Case) -> list[Witness]:
    """Projection on what a hypothesis does, and the same of the low-precision replay, which must not show it."""
    if case.rounded is None:
        return []
    weights = _rounded_weights(case)
    exact = _computed(case, weights)
    if exact is None:
        return []
    ours, theirs = case.rounded - exact, case.candidate - exact
    counts = case.counts & ours.isfinite()
    found = []
    for hypothesis, value in _usual(case):
        changed = _computed(case, hypothesis.plan(value).joined(weights))
        if changed is not None:
            d = changed - exact
            found.append(
                Witness.of(
                    case,
                    hypothesis,
                    value,
                    projection=projection(d, theirs, ours, counts),
                    control=projection(d, ours, ours, counts),
                )
            )
    return found


def _usual(case: Case) -> Iterable[tuple[Hypothesis, object]]:
    for family in FAMILIES:
        for hypothesis in family(case):
            for value in hypothesis.usual:
                yield hypothesis, value


def _computed(case: Case, plan: Plan) -> torch.Tensor | None:
    """None where the plan cannot be run, or has another shape or no numbers as its result."""
    try:
        changed = plan.run(case)
    except (RuntimeError, IndexError, ValueError, TypeError):
        return None
    return changed if changed.shape == case.exact.shape and changed.is_floating_point() else None


def _rounded_weights(case: Case) -> Plan:
    """The weights as a candidate of this dtype holds them."""
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    with torch._C.DisableTorchFunction():  # a mode of another precision would answer with that
        return Plan(
            leaves={
                leaf: leaf.tensor.detach().to(narrow)
                for leaf in case.program.leaves
                if leaf.is_weight and leaf.tensor.is_floating_point() and leaf.tensor.dtype != narrow
            }
        )
