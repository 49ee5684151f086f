"""The linear map by which the last axis of a tap is sketched: the same for the same width, whatever the tensor.

C channels, W folded channels, K projections. A vector x_C is multiplied by random signs, cut into blocks of W, each
block is turned by a random shift, and the blocks are added up: z_W. Then y_K = z_W @ matrix_WK, of random signs over
sqrt(K). Where C <= W = 4 K, y_K = x_C @ matrix_CK.

E ||y||^2 = ||x||^2. Any two channels meet in z with probability 1 / W at most, however they lie, so for N tokens with
X_NC the relative variance of sum ||y||^2 is at most (2 / K (1 + 2 / W) + 2 / W) ||X^T X||_F^2 / tr(X^T X)^2. (Sums of
products of four signs vanish unless they pair up, so nothing but pairs that meet counts: Charikar, Chen and
Farach-Colton 2002 for the folding, Achlioptas 2003 for the signs.) The fraction is 1 where all tokens point in one
direction, and 1 / r where they spread over r.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FOLDED = 4
"""Folded channels a projection: what folding adds to the variance is a quarter of the projections' own."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The map of one width."""

    width: int
    """W."""
    signs: NDArray[np.float32]
    """(C,): 1 and -1."""
    shifts: tuple[int, ...]
    """Channel i of block b goes to place (i + shifts[b]) mod W; none where nothing is folded."""
    matrix: NDArray[np.float32]
    """(W, K), or (C, K) where nothing is folded."""


@lru_cache(maxsize=256)
def projection(num_channels: int, num_projections: int, seed: int) -> Projection:
    width = FOLDED * num_projections
    stream = (seed << 48) ^ (num_channels << 16) ^ num_projections
    if num_channels <= width:
        matrix = _signs(num_channels * num_projections, stream)
        shifts: tuple[int, ...] = ()
    else:
        matrix = _signs(width * num_projections, stream)
        shifts = tuple((_words(-(-num_channels // width), stream + (1 << 40)) >> np.uint64(24)) % np.uint64(width))
    signs = _signs(num_channels, stream + (2 << 40))
    scaled = matrix.reshape(-1, num_projections) / np.float32(num_projections**0.5)
    return Projection(width, signs, tuple(map(int, shifts)), scaled.astype(np.float32))


def projected(vectors_NC: NDArray[np.floating], by: Projection) -> NDArray[np.floating]:
    """(N, K), in the dtype of `vectors_NC`, float32 or float64."""
    kind = vectors_NC.dtype
    if not by.shifts:
        return np.asarray(vectors_NC @ by.matrix.astype(kind))
    width = by.width
    turned = np.zeros((len(vectors_NC), 2 * width), kind)
    for number, shift in enumerate(by.shifts):
        block = slice(number * width, (number + 1) * width)
        part = vectors_NC[:, block] * by.signs[block].astype(kind)
        turned[:, shift : shift + part.shape[1]] += part
    return np.asarray((turned[:, :width] + turned[:, width:]) @ by.matrix.astype(kind))


def relative_variance(num_projections: int, num_channels: int) -> float:
    """Of the squared norm of a sketch of one vector: the most that it can be."""
    own, width = 2 / num_projections, FOLDED * num_projections
    return own if num_channels <= width else own * (1 + 2 / width) + 2 / width


def _words(count: int, stream: int) -> NDArray[np.uint64]:
    """splitmix64 (Steele, Lea, Flood 2014), started at `stream`: the same in every version of everything."""
    start = np.uint64((stream * 0xD1342543DE82EF95) & ((1 << 64) - 1))
    state = start + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))


def _signs(count: int, stream: int) -> NDArray[np.float32]:
    return np.asarray(1 - 2 * (_words(count, stream) >> np.uint64(63)).astype(np.float32))
