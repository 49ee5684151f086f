"""Gradients beside each other. They are not replayed: where they part while the forward run agrees is told by size."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from probe.align.gradients import pair_gradients
from probe.align.mapping import Mapping
from probe.compare.approximate import APPROXIMATE
from probe.compare.backward import first_gradient
from probe.compare.rows import compared_rows
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.report import Finding, Place, TapComparison

OVER_FORWARD = 30.0
"""Honest gradients differ by up to so many times what the forward runs' taps differ by at most.

Measured on 11 small architectures, eager against sdpa: mostly once in fp32 and bf16, at most 9 and 12 times (Whisper).
"""
LEAST = 1e-9
"""No less is asked of any dtype."""


@dataclass(frozen=True, slots=True)
class Gradients:
    """What two dumps show of their backward passes."""

    rows: tuple[TapComparison, ...] = ()
    """In the order in which the reference's arose."""
    reference_only: tuple[str, ...] = ()
    candidate_only: tuple[str, ...] = ()
    first: Place | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def compare_gradients(
    ours: Dump, theirs: Dump, mapping: Mapping, forward: Sequence[TapComparison], *, forward_diverged: bool
) -> Gradients:
    """`forward`: the rows of what `mapping` shows. Places are judged only where the forward run is at fault nowhere."""
    sides = {"reference": ours, "candidate": theirs}
    without = [side for side, dump in sides.items() if not dump.gradients]
    if without:
        reasons = [_why_none(side, dump) for side, dump in sides.items()]
        lone = f"gradients are not compared: the {without[0]} has none"
        return Gradients(notes=tuple(reason for reason in reasons if reason) or ((lone,) if len(without) == 1 else ()))
    pairs = pair_gradients(ours, theirs, mapping)
    rows = compared_rows(pairs, ours, theirs)
    used = {(source.tap.step, source.tap.name) for pair in pairs for source in pair.sources}
    paired = {(pair.reference.step, pair.reference.name) for pair in pairs}
    whole = Gradients(
        rows,
        tuple(tap.name for tap in ours.gradients if (tap.step, tap.name) not in paired),
        tuple(tap.name for tap in theirs.gradients if (tap.step, tap.name) not in used),
    )
    if forward_diverged:
        note = "gradients are listed, and not judged: they inherit what the forward run does otherwise"
        return replace(whole, notes=(note,))
    dtypes = {tap.dtype for dump in (ours, theirs) for tap in (*dump.taps, *dump.gradients)}
    limit = _limit(dtypes, mapping, forward)
    if limit > 1:
        return replace(
            whole, notes=("gradients are not judged: the forward runs already differ by as much as theirs may",)
        )
    first, found = first_gradient(pairs, rows, limit, max(map(_rounding, dtypes)), ours)
    return replace(whole, first=first, findings=found)


def _why_none(side: str, dump: Dump) -> str | None:
    told = (dump.attribute("notes") or {}).get("gradients")
    return f"the {side} was recorded with gradients=True, but {told}" if told else None


def _rounding(dtype: str) -> float:
    return UNIT_ROUNDOFF[dtype] if dtype in APPROXIMATE else 0.0


def _limit(dtypes: Collection[str], mapping: Mapping, forward: Sequence[TapComparison]) -> float:
    """Relative error that honest gradients may have: as gathered in the coarsest dtype that either run computed in, or
    in proportion to what the forward runs differ by."""
    gathered = max(APPROXIMATE.get(dtype, 0.0) for dtype in dtypes)
    of_modules = (
        row.rel_l2
        for row, pair in zip(forward, mapping.shown, strict=True)
        if pair.firm and row.dtype in APPROXIMATE and not pair.reference.is_functional
    )
    return max(gathered, OVER_FORWARD * max(of_modules, default=0.0), LEAST)
