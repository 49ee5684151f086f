"""How large an error rounding may have gathered by some place: what a picture's errors must stand out of."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.compare.approximate import APPROXIMATE
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.report import Report

STANDS_OUT = 10.0
"""Times what was gathered, in probe.views.onset."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A relative error."""

    size: float
    told: str
    """Whence it is known."""


def gathered(report: Report | None, dumps: Sequence[Dump]) -> Gathered:
    """Of a report the largest error before its first divergence; without one, what the dtype may gather over a whole
    model, so that it needs no factor any more."""
    dtypes = [dump.dtype for dump in dumps]
    if report is None:
        coarsest = max(dtypes, key=lambda dtype: APPROXIMATE.get(dtype, 0.0))
        return Gathered(APPROXIMATE.get(coarsest, 1e-4) / STANDS_OUT, f"a tenth of what {coarsest} may gather")
    taps = [row.reference for row in report.taps]
    end = taps.index(report.first.tap) if report.first is not None and report.first.tap in taps else len(taps)
    first = report.first.tap.partition(":")[0] if report.first is not None else ""
    before = [
        row for row in report.taps[:end] if ".@" not in row.reference and row.reference.partition(":")[0] != first
    ]
    finite = [row.rel_l2 for row in before if row.rel_l2 < float("inf")]
    rounding = max(UNIT_ROUNDOFF.get(dtype, 0.0) for dtype in dtypes)
    return Gathered(max([rounding, *finite]), "what rounding gathers before the first divergence")
