"""What a dump says of one parameter, and the sketches by which its rows are found again in another model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.tap import Statistics

NUM_PROJECTIONS = 8


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


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of every row (and every column) of all weights: its norm, and projections that survive a change of dtype."""

    norms: NDArray[np.float32]
    """(num_rows,): Euclidean norms."""
    directions: NDArray[np.float16]
    """(num_rows, 8): the row, divided by its norm, projected on eight fixed pseudo-random vectors: `projections`."""


def projections(length: int) -> NDArray[np.float32]:
    """(length, 8): uniform numbers of [-1, 1), splitmix64 of 8 i + k, the same in every version of everything."""
    state = np.arange(1, length * NUM_PROJECTIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    unit = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return unit.reshape(length, NUM_PROJECTIONS)
