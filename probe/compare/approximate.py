"""Where nothing can be replayed: a place by the size of errors alone, and said to be approximate."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from probe.align.mapping import Pair
from probe.dump import Dump
from probe.locate import ABOVE_FLOOR
from probe.report import Finding, Place, Seen, TapComparison, WeightFinding

APPROXIMATE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Relative error that a run of this dtype may gather over a whole model: used only where nothing can be replayed."""

TABLES = ("GELU", "GEGLU", "GELU_QUICK", "GEGLU_QUICK")
"""Operations that ggml's kernels for processors look up in a table of float16, whatever they are given."""
AS_QUANTIZED = 10.0
"""Times the noise of a quantized weight: a product's own is 0.8 to 2 times that where nothing cancels in it (measured
as in probe.diagnose.unjudged), and more where much does."""


@dataclass(frozen=True, slots=True)
class Approximate:
    """What sizes alone tell."""

    place: Place | None = None
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[str, ...] = ()
    """The first tap that is off as quantized weights are: it and all that follows cannot be told from a bug."""
    elsewhere: tuple[str, ...] = ()
    """A tap that differs though all that follows agrees."""


def approximate_place(
    rows: Sequence[TapComparison], noises: Sequence[float], dtypes: Sequence[str], quantized: Mapping[str, float]
) -> Approximate:
    """The first tap whose error is far above what its dtype gathers; inherited error is not told apart.

    `noises` are what either run's own repetition shows there, end to end and relative to the tap; `dtypes` are the
    reference's. `quantized` are modules whose weights are, with the signal over noise in dB.
    """
    above = _above(list(zip(rows, noises, dtypes, strict=True)))
    first = next(above, None)
    if first is None:
        return Approximate()
    row, limit, rest = first
    module = row.reference.rpartition(":")[0]
    as_noise = AS_QUANTIZED * 10 ** (-quantized.get(module, math.inf) / 20)
    if row.rel_l2 <= as_noise:
        return Approximate(unjudged=(row.reference,))
    behind = [one for one, _, _ in rest]
    is_told = any(_is_beyond(one, module) for one in behind)
    is_told = is_told and all(one.seen in (Seen.VALUES, Seen.SKETCH) for one in behind)
    if is_told and math.isfinite(row.rel_l2) and next(_above(rest, as_noise), None) is None:
        return Approximate(unjudged=(row.reference,) if as_noise else (), elsewhere=(row.reference,))
    place = Place(module, row.reference, row.step, row.rel_l2, limit or 1e-300, row.rel_l2 / (limit or 1e-300))
    message = f"about here, by size alone (nothing was replayed): {row.reference} differs by {_size(row)}"
    return Approximate(
        place, (Finding("unknown", module, (module,), ("", row.reference), message, error_before=row.rel_l2),)
    )


def _is_beyond(row: TapComparison, module: str) -> bool:
    """Whether a tap is of another module than those that hold this one: they return what it returned."""
    other = row.reference.rpartition(":")[0]
    return other not in ("", module) and not module.startswith(f"{other}.")


_Seen = tuple[TapComparison, float, str]


def _above(rows: Sequence[_Seen], gathered: float = 0.0) -> Iterator[tuple[TapComparison, float, Sequence[_Seen]]]:
    """Rows above their limit, that, and the rows behind. What the coarsest dtype gathers among the taps so far that
    differ is `gathered`: a loss in float32 is made of such logits."""
    for at, (row, noise, dtype) in enumerate(rows, 1):
        if row.rel_l2:
            gathered = max(gathered, *(APPROXIMATE.get(one, 0.0) for one in (row.dtype, dtype)))
        limit = max(gathered, ABOVE_FLOOR * noise)
        if row.rel_l2 > limit:
            yield row, limit, rows[at:]


def arithmetic(pairs: Sequence[Pair], *dumps: Dump) -> list[str]:
    """The dtype that counts for each pair: the reference's, or a coarser one of either run: its matrices', or what it
    computed with before, in a table or in attention too."""
    matrices = {weight.dtype for dump in dumps for weight in dump.weights if len(weight.shape) > 1}
    narrow = [_narrow(dump) for dump in dumps]
    found = []
    for pair in pairs:
        taps = pair.reference, pair.sources[0].tap
        before = [
            dtype for tap, firsts in zip(taps, narrow, strict=True) for dtype in firsts if firsts[dtype] <= tap.order
        ]
        found.append(max([pair.reference.dtype, *matrices, *before], key=lambda one: APPROXIMATE.get(one, 0.0)))
    return found


def _narrow(dump: Dump) -> dict[str, int]:
    """By dtype, the order of the first tap that was computed in it."""
    firsts: dict[str, int] = {}
    for tap in dump.taps:
        dtype = "float16" if tap.module_class in TABLES else tap.dtype
        if dtype in ("float16", "bfloat16"):
            firsts[dtype] = min(tap.order, firsts.get(dtype, tap.order))
    return firsts


def quantized_modules(weights: Sequence[WeightFinding]) -> dict[str, float]:
    """Those whose matrix is quantized in one of the two runs, honestly, and the least signal over noise, in dB."""
    return {
        name.rpartition(".")[0]: one.sqnr_db
        for one in weights
        if one.kind == "quantized" and one.sqnr_db is not None
        for name in one.weights
    }


def _size(row: TapComparison) -> str:
    if row.seen is Seen.STATISTICS:
        return f"at least {row.rel_l2:.1e}"
    if row.rel_l2_stderr is not None:
        return f"{row.rel_l2:.1e} (standard error {row.rel_l2_stderr:.1e})"
    return f"{row.rel_l2:.1e}"
