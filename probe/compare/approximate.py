"""Where nothing can be replayed: a place by the size of errors alone, and said to be approximate."""

from collections.abc import Sequence

from probe.locate import ABOVE_FLOOR
from probe.report import Finding, Place, Seen, TapComparison

APPROXIMATE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Relative error that a run of this dtype may gather over a whole model: used only where nothing can be replayed."""


def approximate_place(
    rows: Sequence[TapComparison], noises: Sequence[float], dtypes: Sequence[str]
) -> tuple[Place | None, tuple[Finding, ...]]:
    """The first tap whose error is far above what its dtype gathers; inherited error is not told apart.

    `noises` are what either run's own repetition shows there, end to end and relative to the tap; `dtypes` are the
    reference's.
    """
    gathered = 0.0
    """What the coarsest dtype gathers among the taps so far that differ: a loss in float32 is made of such logits."""
    for row, noise, dtype in zip(rows, noises, dtypes, strict=True):
        if row.rel_l2:
            gathered = max(gathered, *(APPROXIMATE.get(one, 0.0) for one in (row.dtype, dtype)))
        limit = max(gathered, ABOVE_FLOOR * noise)
        if row.rel_l2 > limit:
            module = row.reference.rpartition(":")[0]
            place = Place(module, row.reference, row.step, row.rel_l2, limit or 1e-300, row.rel_l2 / (limit or 1e-300))
            message = f"about here, by size alone (nothing was replayed): {row.reference} differs by {_size(row)}"
            return place, (
                Finding("unknown", module, (module,), ("", row.reference), message, error_before=row.rel_l2),
            )
    return None, ()


def _size(row: TapComparison) -> str:
    if row.seen is Seen.STATISTICS:
        return f"at least {row.rel_l2:.1e}"
    if row.rel_l2_stderr is not None:
        return f"{row.rel_l2:.1e} (standard error {row.rel_l2_stderr:.1e})"
    return f"{row.rel_l2:.1e}"
