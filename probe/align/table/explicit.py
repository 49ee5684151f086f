"""One reference tap and the candidate places that a row gives for it, as a Pair; or, in words, why they do not fit."""

from math import prod

from probe.align.layouts import layout_for, number_kind
from probe.align.mapping import Layout, Pair, Source
from probe.align.pairs import kept_tokens
from probe.align.table.pattern import Shape, result_shape
from probe.align.table.rows import Row
from probe.align.table.sides import Place, Side, columns
from probe.align.table.sizes import Sizes
from probe.tap import Tap

UNPADDED = "unpadded"
"""The layout of a candidate that dropped its padding tokens."""


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
        sources, shapes = [], []
        for where in places:
            other = where.tap(self.candidate, tap.step, tap.call, port)
            if other is None:
                return None
            if number_kind(other.dtype) != number_kind(tap.dtype):
                raise ValueError(f"{other.name} is {other.dtype} where {tap.name} is {tap.dtype}")
            shape, cut = other.shape, None
            if where.ranges is not None:
                cut = columns(where.ranges, other.shape[-1] if other.shape else 0, sizes)
                shape = (*other.shape[:-1], sum(stop - start for start, stop in cut))
            sources.append(Source(other, None if cut == ((0, other.shape[-1:][0] if other.shape else 0),) else cut))
            shapes.append(shape)
        if len({shape[:-1] for shape in shapes}) > 1 or (len(shapes) > 1 and not shapes[0]):
            raise ValueError(f"tensors of {' and '.join(map(str, shapes))} cannot be joined side by side")
        shape = (*shapes[0][:-1], sum(shape[-1] for shape in shapes)) if shapes[0] else ()
        layout = self._layout(tap, shape, row, sizes)
        return Pair(tap, tuple(sources), layout, "table", row.firm)

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


def _words(pattern: str) -> list[str]:
    return pattern.replace("(", " ").replace(")", " ").split()


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
