"""The layout between two taps that stand for each other, and which of the candidate's channels are meant."""

import math
from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as Mapping_

from probe.align.layouts import layout_for, number_kind
from probe.align.mapping import Layout, Pair, Source
from probe.align.match import Match
from probe.align.part import Part
from probe.align.permutation import Ranges
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.tap import Tap


class Fit:
    """Finds layouts by what the reference was fed."""

    def __init__(self, reference: Dump, matches: Iterable[Match], layouts: Mapping_[str, Layout]) -> None:
        self._layouts = layouts
        self._paddings = _paddings(matches)
        inputs = reference.inputs()
        two_axes = [bits.shape for bits, dtype in inputs.values() if bits.ndim == 2 and number_kind(dtype) == "int"]
        self._batch_and_tokens = two_axes[0] if two_axes else None
        mask = kept_tokens(reference)
        self._num_kept = int(mask.sum()) if mask is not None else None

    def source(self, tap: Tap, other: Tap, part: Part) -> tuple[Source, tuple[int, ...]] | None:
        """The candidate values meant by `part`, and their shape; inputs are not sliced, only outputs."""
        if number_kind(tap.dtype) != number_kind(other.dtype):
            return None
        if not other.shape:
            return Source(other), other.shape
        if part.columns is None and part.inputs is None and (tap.shape[-1:], other.shape[-1:]) in self._paddings:
            return _chosen(other, ((0, tap.shape[-1]),))
        if other.is_input:
            return _chosen(other, part.inputs) or (Source(other), other.shape)
        if part.width is not None and not _has_axis(other.shape, part.width):
            return None  # the module computes more than its weights say: attention around a fused projection
        if part.columns is None:
            return Source(other), other.shape
        num_merged = next((n for n in (1, 2, 3) if math.prod(other.shape[-n:]) == part.width), None)
        block = _block(part, other.shape) if num_merged in (None, 3) else None
        if block is not None:  # of [2, T, B, H, D] with T = 2 shapes do not tell which axis is meant
            return (Source(other, block=block), other.shape[1:]) if num_merged is None else None
        return _chosen(other, part.columns, num_merged or 1)

    def pair(self, tap: Tap, sources: list[tuple[Source, tuple[int, ...]]], match: Match) -> Pair | None:
        if len({shape[:-1] for _, shape in sources}) > 1:
            return None  # of another number of tokens, they cannot stand side by side
        shape = (*sources[0][1][:-1], sum(shape[-1] for _, shape in sources)) if sources[0][1] else ()
        given = None if tap.is_input else self._layouts.get(tap.module)
        layout = given or layout_for(tap.shape, shape, self._batch_and_tokens, self._num_kept)
        if layout is None:
            return None
        firm = match.firm and (match.reason == "name" or given is not None or not is_ambiguous(tap.shape, shape))
        return Pair(tap, tuple(source for source, _ in sources), layout, match.reason, firm)

    def by_value(self, tap: Tap, alike: list[Tap]) -> Pair | None:
        """Of several taps of one tensor the one of the reference's shape; its axes may be moved, so it is not firm."""
        for other in sorted(alike, key=lambda other: (other.shape != tap.shape, other.is_input != tap.is_input)):
            layout = layout_for(tap.shape, other.shape, self._batch_and_tokens, self._num_kept)
            if layout:
                return Pair(tap, (Source(other),), layout, "the same values", firm=False)
        return None


def _chosen(tap: Tap, columns: Ranges | None, num_merged: int = 1) -> tuple[Source, tuple[int, ...]] | None:
    """None where the last axes, so many counted as one, have fewer channels."""
    if columns is None or max(stop for _, stop in columns) > math.prod(tap.shape[-num_merged:]):
        return None
    width = sum(stop - start for start, stop in columns)
    return Source(tap, columns, num_merged), (*tap.shape[:-num_merged], width)


def _paddings(matches: Iterable[Match]) -> set[tuple[tuple[int], tuple[int]]]:
    """Of modules that are the first channels of a wider one, which nothing else is a part of: both widths."""
    parts = [part for match in matches for part in match.parts]
    users = Counter(part.module for part in parts)
    return {
        ((part.columns[0][1],), (part.width,))
        for part in parts
        if part.width and part.columns and part.columns == ((0, part.columns[0][1]),) and users[part.module] == 1
    }


def is_ambiguous(reference: tuple[int, ...], candidate: tuple[int, ...]) -> bool:
    """As many tokens as heads, or as sentences: shapes do not tell [B, H, T, D] from [B, T, H, D], nor [T, B, C]."""
    if reference == candidate and len(reference) == 3 and reference[0] == reference[1] > 1:
        return True
    return any(len(shape) == 4 and shape[1] == shape[2] > 1 for shape in (reference, candidate))


def _has_axis(shape: tuple[int, ...], width: int) -> bool:
    """Whether `width` channels are an axis, or two (heads, and channels a head) with or without tokens in between."""
    if width in shape:
        return True
    merged = (shape[-1] * shape[-2], shape[-1] * shape[-3]) if len(shape) > 2 else ()
    return width in merged or width in (shape[0] * size for size in (shape[-1], *merged))


def _block(part: Part, shape: tuple[int, ...]) -> int | None:
    """Index of the first axis that has the part's channels, where they are stacked there: [2, B, T, H, D]."""
    if not part.columns or len(part.columns) > 1 or part.width is None or len(shape) < 3:
        return None
    start, stop = part.columns[0]
    stacked = part.width == shape[0] * (stop - start) and start % (stop - start) == 0
    return start // (stop - start) if stacked and stop - start in (shape[-1], shape[-1] * shape[-2]) else None
