"""A mapping: which candidate values stand for which reference tap, and how their axes are brought to its shape."""

from dataclasses import dataclass, field
from typing import Any

import einops
import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump
from probe.errors import ProbeError
from probe.tap import Tap

Numbers = NDArray[Any]
Slice = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidate values come from."""

    tap: Tap
    columns: tuple[Slice, ...] | None = None
    """Ranges of the last axis, in the reference's order; None takes all of it."""
    num_merged: int = 1
    """So many of the last axes count as one: heads, and the channels of each."""
    block: int | None = None
    """Index of the first axis: of keys and values that come stacked, the values."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How candidate axes become the reference's."""

    pattern: str | None = None
    """einops, candidate -> reference: "b t h d -> b h t d"; None where shapes are equal."""
    unpadded: bool = False
    """The candidate's rows are the reference's tokens whose attention mask is 1."""
    sizes: tuple[tuple[str, int], ...] = ()
    """Axes of `pattern` whose sizes the reference's shape does not tell, as a table gives them: (("h", 32),)."""
    scale: float = 1.0
    """Candidate values are multiplied by it, and then `offset` is added."""
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One reference tap and what the candidate has in its place."""

    reference: Tap
    sources: tuple[Source, ...]
    """Concatenated along the last axis."""
    layout: Layout
    reason: str
    """Why this is believed: "name", "weights", "order", "table", ..."""
    firm: bool = True
    """False for containers that were paired because they hold the same weights: they may be tapped at another point,
    so they are shown, but neither judged nor put into the reference's place."""
    elsewhere: bool = False
    """The candidate has the reference's numbers a little later: this tap of it lies before a scale, for one."""

    @property
    def candidate_name(self) -> str:
        """`layers.0.wqkv:out[0:64]`; several joined by " + "."""
        return " + ".join(_source_name(source) for source in self.sources)

    @property
    def is_plain(self) -> bool:
        """Same shape, whole tensor: the two can be read block by block side by side."""
        whole = len(self.sources) == 1 and self.sources[0].columns is None and self.sources[0].block is None
        return whole and self.layout == Layout() and self.sources[0].tap.shape == self.reference.shape


@dataclass(frozen=True, slots=True)
class Skipped:
    """A reference tap that a table says is not to be compared."""

    tap: Tap
    reason: str


@dataclass(frozen=True, slots=True)
class Functions:
    """Taps of functions that modules call. They say where between two modules a difference begins; they are neither
    judged nor put into the reference's place."""

    pairs: tuple[Pair, ...] = ()
    reference_only: tuple[Tap, ...] = ()
    candidate_only: tuple[Tap, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """All pairs of two dumps, in the reference's order of execution, and what has no partner on either side."""

    pairs: tuple[Pair, ...]
    reference_only: tuple[Tap, ...]
    candidate_only: tuple[Tap, ...]
    remarks: tuple[str, ...] = field(default=())
    """What alignment itself found odd: weights that say another thing than names or the other layers do."""
    asked: tuple[str, ...] = field(default=())
    """What a person must say: rows that are too uncertain to be used."""
    skipped: tuple[Skipped, ...] = field(default=())
    """In no other list."""
    functions: Functions = Functions()

    @property
    def shown(self) -> tuple[Pair, ...]:
        """`pairs` and those of functions, in the reference's order of execution."""
        both = (*self.pairs, *self.functions.pairs)
        return tuple(sorted(both, key=lambda pair: (pair.reference.step, pair.reference.order)))


def _source_name(source: Source) -> str:
    if source.block is not None:
        return f"{source.tap.name}[{source.block}]"
    if source.columns is None:
        return source.tap.name
    ranges = ",".join(f"{start}:{stop}" for start, stop in source.columns[:4])
    return f"{source.tap.name}[{ranges}{',...' if len(source.columns) > 4 else ''}]"


def candidate_values(pair: Pair, dump: Dump, kept_tokens: NDArray[np.bool_] | None) -> Numbers:
    """The candidate's values in the reference tap's shape.

    `kept_tokens` [B, T] is the reference's attention mask; where the candidate has no value for a padded token, the
    result is zero. ProbeError where the layout does not fit.
    """
    parts = []
    for source in pair.sources:
        values = dump.read(source.tap)
        if source.block is not None:
            values = values[source.block]
        if source.columns is not None:
            values = values.reshape(*values.shape[: values.ndim - source.num_merged], -1)
            values = np.concatenate([values[..., start:stop] for start, stop in source.columns], axis=-1)
        parts.append(values)
    values = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    values = _with_constants(values, pair.layout)
    shape = pair.reference.shape
    try:
        if pair.layout.unpadded:
            assert kept_tokens is not None
            rows = values.reshape(int(kept_tokens.sum()), -1)
            padded = np.zeros((*kept_tokens.shape, rows.shape[-1]), values.dtype)
            padded[kept_tokens] = rows
            return padded.reshape(shape)
        if pair.layout.pattern is not None:
            values = einops.rearrange(values, pair.layout.pattern, **_sizes(pair.layout, shape))
        return values.reshape(shape)
    except (ValueError, einops.EinopsError) as error:
        raise ProbeError(
            f"cannot compare {pair.reference.name!r}: {str(error).strip().splitlines()[0]}",
            hint="give its axes in the mapping table, e.g. layout = 'b t (h d) -> b h t d'",
        ) from None


def _with_constants(values: Numbers, layout: Layout) -> Numbers:
    """values * scale + offset, in float32 at least: a product rounded to float16 would be an error of ours."""
    if layout.scale == 1.0 and layout.offset == 0.0:
        return values
    wide = values.astype(np.promote_types(values.dtype, np.float32))
    return np.asarray(wide * wide.dtype.type(layout.scale) + wide.dtype.type(layout.offset))


def _sizes(layout: Layout, reference_shape: tuple[int, ...]) -> dict[str, int]:
    """Axis sizes that a table gives, or that the reference's shape tells: of those alone on the right of the arrow."""
    left, _, right = (layout.pattern or "").partition("->")
    known = {name: size for name, size in layout.sizes if name in left.replace("(", " ").replace(")", " ").split()}
    names = right.split()
    if len(names) != len(reference_shape) or any(name.startswith("(") for name in names):
        return known
    told = zip(names, reference_shape, strict=True)
    return {name: size for name, size in told if name.isidentifier() and name in left} | known
