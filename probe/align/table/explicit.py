"""One reference tap and the candidate places that a row gives for it, as a Pair; or, in words, why they do not fit."""

from dataclasses import replace
from math import prod

from probe.align.layouts import layout_for, number_kind
from probe.align.mapping import Layout, Pair, Source
from probe.align.permutation import ranges as ranges_of
from probe.align.table.pattern import Shape, channel_order, result_shape
from probe.align.table.rows import Row
from probe.align.table.sides import Place, Side, block, columns
from probe.align.table.sizes import Sizes
from probe.dump.unpadded import kept_tokens
from probe.tap import Tap

UNPADDED = "unpadded"
"""The layout of a candidate that dropped its padding tokens."""
MERGED = (1, 2, 3)
"""So many of the last axes may be meant by channels: of [B, T, H, D] it is D or, if only that fits, H D."""


class Fitting:
    """What is needed of both dumps to bring taps together."""

    def __init__(self, reference: Side, candidate: Side) -> None:
        self.reference, self.candidate = reference, candidate
        inputs = reference.dump.inputs()
        two_axes = [bits.shape for bits, dtype in inputs.values() if bits.ndim == 2 and number_kind(dtype) == "int"]
        self._batch_and_tokens = two_axes[0] if two_axes else None
        mask = kept_tokens(reference.dump)
        self._num_kept = int(mask.sum()) if mask is not None else None

    def pair(self, tap: Tap, places: list[Place], row: Row, sizes: Sizes, port: str | None) -> Pair | None:
        """None where the candidate never ran at this step and call. ValueError says what does not fit.

        `port` is what a place without one means; None the first output.
        """
        taps = [where.tap(self.candidate, tap.step, tap.call, port) for where in places]
        found = [other for other in taps if other is not None]
        if len(found) < len(places):
            return None
        other = next((other for other in found if number_kind(other.dtype) != number_kind(tap.dtype)), None)
        if other:
            raise ValueError(f"{other.name} is {other.dtype} where {tap.name} is {tap.dtype}")
        ranges = [where.ranges for where in places]
        refused: ValueError | None = None
        for num_merged in MERGED if any(ranges) else MERGED[:1]:
            try:
                return self._pair(tap, found, ranges, num_merged, row, sizes)
            except ValueError as error:
                refused = refused or error
        assert refused
        raise refused

    def _pair(
        self, tap: Tap, taps: list[Tap], ranges: list[str | None], num_merged: int, row: Row, sizes: Sizes
    ) -> Pair:
        cut = [_source(other, cuts, num_merged, sizes) for other, cuts in zip(taps, ranges, strict=True)]
        sources, shapes = tuple(source for source, _ in cut), [shape for _, shape in cut]
        if len({shape[:-1] for shape in shapes}) > 1 or (len(shapes) > 1 and not shapes[0]):
            raise ValueError(f"tensors of {' and '.join(map(str, shapes))} cannot be joined side by side")
        shape = (*shapes[0][:-1], sum(shape[-1] for shape in shapes)) if shapes[0] else ()
        layout = self._layout(tap, shape, row, sizes)
        order = channel_order(layout.pattern, dict(layout.sizes)) if layout.pattern else None
        if order is not None and sources == (Source(taps[0]),):
            sources, layout = (Source(taps[0], ranges_of(order)),), replace(layout, pattern=None, sizes=())
        return Pair(tap, sources, layout, "table", row.firm)

    def _layout(self, tap: Tap, shape: Shape, row: Row, sizes: Sizes) -> Layout:
        if row.layout is None or row.layout == UNPADDED:
            found = layout_for(tap.shape, shape, self._batch_and_tokens, self._num_kept)
            if found is None or (row.layout == UNPADDED and not found.unpadded):
                raise ValueError(f"the shapes do not fit: {tap.shape} in the reference, {shape} in the candidate")
            return Layout(found.pattern, found.unpadded, scale=row.scale, offset=row.offset)
        names = {name for name in _words(row.layout) if name in sizes}
        given = {name: sizes.value(name) for name in sorted(names)}
        made, taken = result_shape(row.layout, shape, given, tap.shape)
        if _without_ones(made) != _without_ones(tap.shape) or prod(made) != prod(tap.shape):
            raise ValueError(f"{row.layout!r} makes {made} of the candidate's {shape}; the reference has {tap.shape}")
        return Layout(row.layout, False, tuple(taken.items()), row.scale, row.offset)


def _source(tap: Tap, ranges: str | None, num_merged: int, sizes: Sizes) -> tuple[Source, Shape]:
    """What `[1,...,0:64]` means of a tap, and its shape."""
    if ranges is None:
        return Source(tap), tap.shape
    index, cuts = block(ranges, sizes)
    shape = tap.shape if index is None else tap.shape[1:]
    if index is not None and not (tap.shape and 0 <= index < tap.shape[0]):
        raise ValueError(f"{tap.name} of {tap.shape} has no {index} on its first axis")
    if not cuts:
        return Source(tap, block=index), shape
    found = columns(cuts, prod(shape[-num_merged:]) if shape else 0, sizes)
    if num_merged == 1 and found == ((0, shape[-1]),):
        return Source(tap, block=index), shape
    width = sum(stop - start for start, stop in found)
    return Source(tap, found, num_merged, index), (*shape[:-num_merged], width)


def _words(pattern: str) -> list[str]:
    return pattern.replace("(", " ").replace(")", " ").split()


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
