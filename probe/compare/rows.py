"""The two files side by side: metrics of every pair of taps, and of the model's output, end to end."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from probe.align.layouts import number_kind
from probe.align.mapping import Mapping, Numbers, Pair, candidate_values
from probe.align.output import is_logits, output_pair
from probe.compare.told import Told, told_without_values
from probe.dump import Dump
from probe.dump.dtypes import LARGEST
from probe.dump.unpadded import kept_tokens
from probe.locate import relative
from probe.metrics import BLOCK, Known, Sums, compare, compare_blocks, compare_known, compare_logits
from probe.replay.local_error import LocalError
from probe.report import OutputComparison, Seen, TapComparison
from probe.tap import Tap

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it, of how much."""
Kept = NDArray[np.bool_] | None


def rows_and_output(
    ours: Dump, theirs: Dump, mapping: Mapping, errors: tuple[LocalError, ...], progress: Progress
) -> tuple[tuple[TapComparison, ...], OutputComparison | None]:
    """Metrics of every pair that is shown from the two files, and of the model's output."""
    local = {(e.pair.reference.step, e.pair.reference.name): e for e in errors}
    rows: list[TapComparison] = []
    output: OutputComparison | None = None
    masks = {step: kept_tokens(ours, step) for step in ours.steps}
    shown = mapping.shown
    returned = output_pair(shown)
    for index, pair in enumerate(shown):
        progress("comparing taps", index, len(shown))
        kept = masks[pair.reference.step]
        told = _told(pair, ours, theirs, kept)
        rows.append(_row(pair, told, local.get((pair.reference.step, pair.reference.name))))
        if pair is returned:
            output = _output(pair, told.sums, ours, theirs, kept)
    return tuple(rows), output


def compared_rows(pairs: Sequence[Pair], ours: Dump, theirs: Dump) -> tuple[TapComparison, ...]:
    """Metrics of these pairs alone, from the two files."""
    masks = {step: kept_tokens(ours, step) for step in {pair.reference.step for pair in pairs}}
    return tuple(_row(pair, _told(pair, ours, theirs, masks[pair.reference.step]), None) for pair in pairs)


def _told(pair: Pair, ours: Dump, theirs: Dump, kept: Kept) -> Told:
    """What the two files tell of a pair: by the values, where both have kept them."""
    told = told_without_values(pair, ours, theirs, kept)
    return told or Told(_pair_sums(pair, ours, theirs, kept), Seen.VALUES)


def _pair_sums(pair: Pair, ours: Dump, theirs: Dump, kept: Kept) -> Sums:
    reference, candidate = pair.reference, pair.sources[0].tap
    same_bytes = reference.statistics.hash == candidate.statistics.hash and reference.dtype == candidate.dtype
    if pair.is_plain and same_bytes and not reference.statistics.num_nan:
        return _equal_sums(pair)
    if pair.is_plain:
        blocks = zip(ours.blocks(reference, BLOCK), theirs.blocks(candidate, BLOCK), strict=True)
        if _is_tame(reference) and _is_tame(candidate):
            return compare_known(blocks, _known(reference), _known(candidate))
        return compare_blocks((_sentinels(r, reference.dtype), _sentinels(c, candidate.dtype)) for r, c in blocks)
    r, c = _both(pair, ours, theirs, kept)
    return compare(_sentinels(r, reference.dtype), _sentinels(c, candidate.dtype))


def _is_tame(tap: Tap) -> bool:
    """Floating-point numbers, all finite, none that stands for infinity, of a size whose squares float32 can add."""
    s = tap.statistics
    return number_kind(tap.dtype) == "float" and not s.num_nan and not s.num_inf and 1e-9 < s.l2 < 1e15


def _known(tap: Tap) -> Known:
    return Known(tap.num_elements, tap.statistics.l2, tap.statistics.mean)


def _equal_sums(pair: Pair) -> Sums:
    """Equal hashes: the figures follow from the statistics, without reading either file."""
    s, count = pair.reference.statistics, pair.reference.num_elements - pair.reference.statistics.num_inf
    return Sums(count, 0.0, s.l2**2, s.l2**2, s.l2**2, s.mean * count if count else 0.0)


def _both(pair: Pair, ours: Dump, theirs: Dump, kept: Kept) -> tuple[Numbers, Numbers]:
    """Both sides in the reference's shape; padded tokens left out where the candidate has none."""
    r, c = ours.read(pair.reference), candidate_values(pair, theirs, kept)
    return (r[kept], c[kept]) if pair.layout.unpadded and kept is not None else (r, c)


def _sentinels(numbers: Numbers, dtype: str) -> Numbers:
    """The most negative number of a dtype, which masks use for minus infinity, as minus infinity."""
    largest = LARGEST.get(dtype)
    if largest is None or not numbers.size or numbers.min() > -0.99 * largest:
        return numbers
    return np.where(numbers <= -0.99 * largest, -np.inf, numbers)


def _row(pair: Pair, told: Told, local: LocalError | None) -> TapComparison:
    sums = told.sums
    if local is not None and local.elsewhere:
        local = None
    return TapComparison(
        reference=pair.reference.name,
        candidate=pair.candidate_name,
        step=pair.reference.step,
        shape=pair.reference.shape,
        dtype=pair.sources[0].tap.dtype,
        max_abs=np.inf if sums.num_unequal_nonfinite else sums.max_abs,
        rel_l2=sums.rel_l2,
        nmse=sums.nmse,
        cosine=sums.cosine,
        sqnr_db=sums.sqnr_db,
        local_error=relative(local.error, local) if local else None,
        floor=relative(local.floor, local) if local else None,
        ratio=local.ratio if local else None,
        one_sided_nonfinite=bool(sums.num_unequal_nonfinite) and not pair.reference.is_functional,
        seen=told.by,
        rel_l2_stderr=told.stderr,
    )


def _output(pair: Pair, sums: Sums, ours: Dump, theirs: Dump, kept: Kept) -> OutputComparison:
    largest = np.inf if sums.num_unequal_nonfinite else sums.max_abs
    plain = OutputComparison(pair.reference.name, largest, sums.rel_l2, sums.nmse)
    if not is_logits(pair, ours):
        return plain
    if not ours.has_values(pair.reference) or not all(theirs.has_values(source.tap) for source in pair.sources):
        return plain
    agreement = compare_logits(_logits(pair, ours, theirs, kept))
    return OutputComparison(
        plain.tap,
        plain.max_abs,
        plain.rel_l2,
        plain.nmse,
        agreement.kl,
        agreement.argmax_match,
        agreement.top10_overlap,
    )


def _logits(pair: Pair, ours: Dump, theirs: Dump, kept: Kept) -> Iterator[tuple[Numbers, Numbers]]:
    """Both sides' logits of one token after the other."""
    num_words = pair.reference.shape[-1]
    if pair.is_plain:
        sides = (ours.blocks(pair.reference, num_words), theirs.blocks(pair.sources[0].tap, num_words))
        return zip(*sides, strict=True)
    r, c = (side.reshape(-1, num_words) for side in _both(pair, ours, theirs, kept))
    return zip(r, c, strict=True)
