"""How far a tensor is from the one that was recorded at the same tap."""

import math

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump
from probe.dump.dtypes import NUMPY_OTHERS, decode
from probe.tap import Tap

BLOCK = 1 << 20
"""Elements that are compared at once."""


def distance(dump: Dump, tap: Tap, again: NDArray[np.generic]) -> float:
    """||again - recorded|| / ||recorded||; of whole numbers and booleans the share of elements that are others.

    Infinite for another shape, or where only one side has NaN or infinities. `again` is bits, as a dump has them.
    """
    if again.shape != tap.shape:
        return math.inf
    flat, squares, unequal, start = again.reshape(-1), 0.0, 0, 0
    for block in dump.blocks(tap, BLOCK):
        other = decode(flat[start : start + len(block)], tap.dtype)
        start += len(block)
        same = (block == other) | ((block != block) & (other != other))
        unequal += int(np.count_nonzero(~same))
        kind = np.complex128 if np.iscomplexobj(block) else np.float64
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0, other.astype(kind) - block.astype(kind))
        squares += float(np.sum(np.abs(difference) ** 2))
    if tap.dtype in NUMPY_OTHERS:
        return unequal / max(len(flat), 1)
    if not math.isfinite(squares):
        return math.inf
    return math.sqrt(squares) / tap.statistics.l2 if tap.statistics.l2 else math.inf
