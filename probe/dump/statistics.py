"""Statistics and the hash of one tensor, in one pass over blocks that stay in the processor's cache."""

import math
from functools import reduce
from typing import NamedTuple

import numpy as np
import xxhash

from probe.dump.dtypes import Bits, decode
from probe.tap import Statistics

BLOCK_BYTES = 1 << 18
ROW = 4096
"""Numbers a dot product: so few that OpenBLAS takes no second thread, whose busy waiting would slow the model down."""
UNDERFLOW = 1e-20
"""A sum of squares below this has lost some, where float32 made it."""
_ONES = np.ones(ROW, np.float32)


def tensor_hash(bits: Bits) -> int:
    """XXH3 (64 bits) of a contiguous tensor's bytes: it guards against chance, not against malice."""
    return xxhash.xxh3_64_intdigest(bits.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def _dot(left: Bits, right: Bits) -> float:
    """Sum of products, row by row; `right` is as long as `left`, or one row that every row of `left` meets."""
    if len(left) <= ROW:
        return float(np.dot(left, right[: len(left)]))
    rest = len(left) % ROW
    whole = len(left) - rest
    rows, others = left[:whole].reshape(-1, ROW), right[:whole].reshape(-1, ROW)
    products = _rows_of_products(rows, others)
    return float(products.sum(dtype=np.float64)) + float(np.dot(left[whole:], right[len(right) - rest :]))


def _rows_of_products(left: Bits, right: Bits) -> Bits:
    """Dot products of rows: from numpy 2 on in half the time."""
    if hasattr(np, "vecdot"):
        return np.asarray(np.vecdot(left, right))
    return np.asarray(np.matmul(left[:, None, :], right[:, :, None]))


class _Sums(NamedTuple):
    """Over the finite elements of a block."""

    minimum: float
    maximum: float
    total: float
    squares: float
    num_finite: int
    num_nan: int = 0
    num_inf: int = 0

    def and_of(self, other: "_Sums") -> "_Sums":
        low, high = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        total, squares = self.total + other.total, self.squares + other.squares
        num_nan, num_inf = self.num_nan + other.num_nan, self.num_inf + other.num_inf
        return _Sums(low, high, total, squares, self.num_finite + other.num_finite, num_nan, num_inf)


_NOTHING = _Sums(math.inf, -math.inf, 0.0, 0.0, 0)


def _sums(numbers: Bits) -> _Sums:
    if numbers.dtype.kind == "c":
        numbers = np.abs(numbers.astype(np.complex128))
    elif numbers.dtype.kind not in "f":
        numbers = numbers.astype(np.float64)
    low, high = float(np.minimum.reduce(numbers)), float(np.maximum.reduce(numbers))
    num_nan = num_inf = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        num_nan, num_inf = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return _NOTHING._replace(num_nan=num_nan, num_inf=num_inf)
        low, high = float(numbers.min()), float(numbers.max())
    squares = _dot(numbers, numbers)
    if not math.isfinite(squares) or (squares < UNDERFLOW and (low or high)):  # float32 over- or underflows
        numbers = numbers.astype(np.float64)
        squares = _dot(numbers, numbers)
    total = _dot(numbers, _ONES) if numbers.dtype == np.float32 else float(numbers.sum())  # BLAS is faster
    return _Sums(low, high, total, squares, len(numbers), num_nan, num_inf)


def _spread(sums: _Sums) -> tuple[float, float]:
    """Mean and standard deviation (of the population)."""
    mean = sums.total / sums.num_finite
    if sums.minimum == sums.maximum:
        return mean, 0.0
    if math.isinf(sums.squares):
        return mean, math.inf
    return mean, math.sqrt(max(sums.squares / sums.num_finite - mean * mean, 0.0))


def statistics(bits: Bits, dtype: str) -> Statistics:
    """Statistics of a contiguous 1-D array of stored `bits`.

    Sums run in float32 within a block and in float64 over blocks: good to five digits, except that `std` loses digits
    where it is less than a hundredth of the mean. Squares that leave float64 (of 1e200) make `l2` and `std` infinite,
    or zero. An empty tensor has NaN everywhere and an l2 of zero.
    """
    digest = xxhash.xxh3_64()
    length = BLOCK_BYTES // bits.itemsize
    of_blocks = []
    with np.errstate(all="ignore"):  # a signalling NaN, squares of 1e200: counted or said above, no warning
        for start in range(0, len(bits), length):
            block = bits[start : start + length]
            digest.update(block.view(np.uint8))  # type: ignore[arg-type]
            of_blocks.append(_sums(decode(block, dtype)))
    sums = reduce(_Sums.and_of, of_blocks) if of_blocks else _NOTHING
    counts = sums.num_nan, sums.num_inf, digest.intdigest()
    if not sums.num_finite:
        return Statistics(math.nan, math.nan, math.nan, math.nan, 0.0, *counts)
    return Statistics(sums.minimum, sums.maximum, *_spread(sums), math.sqrt(sums.squares), *counts)


def from_sums(bits: Bits, sums: Bits) -> Statistics | None:
    """Statistics of stored `bits` whose minimum, maximum, sum and l2 norm are known: nothing but the hash is computed.

    None where that is not enough: something is not finite, or squares have left float32.
    """
    low, high, total, norm = map(float, sums)
    squares = norm * norm
    lost = sums.dtype != np.float64 and squares < UNDERFLOW and (low or high)
    if lost or not all(map(math.isfinite, (low, high, total, norm))):
        return None
    found = _Sums(low, high, total, squares, bits.size)
    return Statistics(low, high, *_spread(found), norm, 0, 0, tensor_hash(bits))
