"""What a dump says of one parameter, and the sketches by which its rows are found again in another model."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from probe.tap import Statistics

NUM_PROJECTIONS = 8


SHORTEST_INNER = 8
"""Elements; vectors along a last axis that is shorter (a convolution's kernel) identify nothing."""


class Axis(StrEnum):
    """Which vectors of a parameter a sketch is made of."""

    ROWS = "rows"
    """One for each index of the first axis, over all others."""
    COLUMNS = "columns"
    """One for each index of all other axes, over the first."""
    INNER_ROWS = "inner rows"
    """Of three axes [A, B, C], as heads and stacked experts have them: A B vectors of length C. Of four axes the first
    two count as A, here and below."""
    INNER_COLUMNS = "inner columns"
    """Of three axes [A, B, C]: C vectors of length A B."""
    MIDDLE = "middle"
    """Of three axes [A, B, C]: A C vectors of length B, as einsum kernels [heads, in, channels] have them. Where the
    last axis is short, as a convolution's [out, in, height, width], all but the first two count as C, and this is the
    only inner view."""


@dataclass(frozen=True, slots=True)
class View:
    """A parameter as `count` vectors of one length; sketches `first` to `first + count` are theirs."""

    axis: Axis
    first: int
    count: int
    length: int


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter of the model that was run."""

    name: str
    """As in state_dict: "model.layers.0.mlp.up_proj.weight"."""
    module: str
    tied_to: str
    """Name of the earlier parameter that shares this one's memory, or ""."""
    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics
    first_row: int
    """Where this weight's rows begin in `/weight_sketches`; its first axis gives the rows, all others the columns."""
    num_rows: int
    first_column: int
    num_columns: int

    @property
    def views(self) -> tuple[View, ...]:
        """All ways in which it was sketched. A vector has one, its rows."""
        if len(self.shape) < 2:
            return (View(Axis.ROWS, self.first_row, self.num_rows, math.prod(self.shape)),)
        rows = View(Axis.ROWS, self.first_row, self.num_rows, self.num_columns)
        columns = View(Axis.COLUMNS, self.first_column, self.num_columns, self.num_rows)
        blocks = inner_blocks(self.shape)
        if blocks is None:
            return rows, columns
        num_blocks, length = blocks
        first, count = self.first_column + self.num_columns, num_blocks * length
        inner_length = self.num_rows * self.num_columns // count
        middle = View(Axis.MIDDLE, first, num_blocks * inner_length, length)
        if is_kernel(self.shape):
            return rows, columns, middle
        inner = View(Axis.INNER_ROWS, first, count, inner_length)
        inner_columns = View(Axis.INNER_COLUMNS, first + count, inner_length, count)
        return rows, columns, inner, inner_columns, replace(middle, first=first + count + inner_length)


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of every row (and every column) of all weights: its norm, and projections that survive a change of dtype."""

    norms: NDArray[np.float32]
    """(num_rows,): Euclidean norms."""
    directions: NDArray[np.float16]
    """(num_rows, 8): the row, divided by its norm, projected on eight fixed pseudo-random vectors: `projections`."""


def inner_blocks(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Of the axes [A, B, C] that inner views are made of, A and B; None where there are none."""
    if not all(shape):
        return None
    if is_kernel(shape):
        return (shape[0], shape[1]) if shape[1] >= SHORTEST_INNER else None
    num_axes = len(shape)
    return (math.prod(shape[:-2]), shape[-2]) if num_axes in (3, 4) else None


def is_kernel(shape: tuple[int, ...]) -> bool:
    """[out, in, ...] with a last axis too short for vectors of its own."""
    return len(shape) in (3, 4, 5) and shape[-1] < SHORTEST_INNER


def projections(length: int) -> NDArray[np.float32]:
    """(length, 8): uniform numbers of [-1, 1), splitmix64 of 8 i + k, the same in every version of everything."""
    state = np.arange(1, length * NUM_PROJECTIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    unit = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return unit.reshape(length, NUM_PROJECTIONS)
