"""Statistics and the hash of one tensor, in one pass over blocks that stay in the processor's cache."""

import math

import numpy as np
from numpy.typing import NDArray

from probe.dump.dtypes import Bits, decode
from probe.tap import Statistics

BLOCK_BYTES = 1 << 18
MASK = (1 << 64) - 1


def _multipliers(count: int) -> NDArray[np.uint64]:
    """Odd pseudo-random 64-bit numbers: splitmix64 of 0, 1, 2 ... (Steele, Lea, Flood 2014)."""
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) | np.uint64(1)


_MULTIPLIERS = _multipliers(BLOCK_BYTES // 8)
_FOLD = np.uint64(33)
ROW = 4096
"""Numbers a dot product: so few that OpenBLAS takes no second thread, whose busy waiting would slow the model down."""
_ONES = np.ones(ROW, np.float32)


def _block_hash(block: NDArray[np.uint8], scratch: NDArray[np.uint64]) -> int:
    """Sum of the block's 64-bit words, each times its own odd number, modulo 2**64; the rest is padded with zeros.

    The upper half of each word is laid over the lower one first. Its bits would else meet the lowest bits of the
    number alone: a one that moved to another place would often hash the same, and -x always as x does.
    """
    count = len(block) // 8
    words, folded = block[: 8 * count].view(np.uint64), scratch[:count]
    np.right_shift(words, _FOLD, out=folded)
    np.bitwise_xor(words, folded, out=folded)
    total = int(_sum_of_products(folded, _MULTIPLIERS[:count]))
    if 8 * count < len(block):
        last = int.from_bytes(block[8 * count :].tobytes(), "little")
        total += (last ^ (last >> 33)) * int(_MULTIPLIERS[count])
    return total & MASK


def _sum_of_products(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> np.uint64:
    """Modulo 2**64. numpy's dot of whole numbers is called in less time than einsum, and is slower once it runs."""
    found: np.uint64 = np.dot(left, right) if len(left) <= ROW else np.einsum("w,w->", left, right)
    return found


def _scratch(num_bytes: int) -> NDArray[np.uint64]:
    return np.empty(min(num_bytes, BLOCK_BYTES) // 8, np.uint64)


def tensor_hash(bits: Bits) -> int:
    """64-bit hash of a contiguous tensor's bytes. Not cryptographic: it guards against chance, not against malice."""
    raw = bits.reshape(-1).view(np.uint8)
    digest, scratch = len(raw), _scratch(len(raw))
    for start in range(0, len(raw), BLOCK_BYTES):
        digest = _mix(digest, _block_hash(raw[start : start + BLOCK_BYTES], scratch))
    return digest


def _mix(digest: int, block_hash: int) -> int:
    digest = (digest * 0x9E3779B97F4A7C15 + block_hash) & MASK
    return digest ^ (digest >> 29)


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


class _Sums:
    """Running sums over the finite elements of a tensor's blocks."""

    def __init__(self) -> None:
        self.minimum, self.maximum = math.inf, -math.inf
        self.total = self.squares = 0.0
        self.num_finite = self.num_nan = self.num_inf = 0

    def add(self, numbers: Bits) -> None:
        if numbers.dtype.kind == "c":
            numbers = np.abs(numbers.astype(np.complex128))
        elif numbers.dtype.kind not in "f":
            numbers = numbers.astype(np.float64)
        low, high = float(np.minimum.reduce(numbers)), float(np.maximum.reduce(numbers))
        if not (math.isfinite(low) and math.isfinite(high)):
            num_nan = int(np.isnan(numbers).sum())
            self.num_nan += num_nan
            self.num_inf += int(np.isinf(numbers).sum())
            numbers = numbers[np.isfinite(numbers)]
            if not len(numbers):
                return
            low, high = float(numbers.min()), float(numbers.max())
        squares = _dot(numbers, numbers)
        if not math.isfinite(squares) or (squares < 1e-20 and (low or high)):  # float32 over- or underflows
            numbers = numbers.astype(np.float64)
            squares = _dot(numbers, numbers)
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self.total += _dot(numbers, _ONES) if numbers.dtype == np.float32 else float(numbers.sum())  # BLAS is faster
        self.squares += squares
        self.num_finite += len(numbers)

    def spread(self) -> tuple[float, float]:
        """Mean and standard deviation (of the population)."""
        if not self.num_finite:
            return math.nan, math.nan
        mean = self.total / self.num_finite
        if self.minimum == self.maximum:
            return mean, 0.0
        if math.isinf(self.squares):
            return mean, math.inf
        return mean, math.sqrt(max(self.squares / self.num_finite - mean * mean, 0.0))


def statistics(bits: Bits, dtype: str) -> Statistics:
    """Statistics of a contiguous 1-D array of stored `bits`.

    Sums run in float32 within a block and in float64 over blocks: good to five digits, except that `std` loses digits
    where it is less than a hundredth of the mean. Squares that leave float64 (of 1e200) make `l2` and `std` infinite,
    or zero. An empty tensor has NaN everywhere and an l2 of zero.
    """
    sums = _Sums()
    digest, scratch = bits.nbytes, _scratch(bits.nbytes)
    length = BLOCK_BYTES // bits.itemsize
    for start in range(0, len(bits), length):
        block = bits[start : start + length]
        digest = _mix(digest, _block_hash(block.view(np.uint8), scratch))
        with np.errstate(all="ignore"):  # a signalling NaN, squares of 1e200: counted or said above, no warning
            sums.add(decode(block, dtype))
    mean, std = sums.spread()
    minimum, maximum = (sums.minimum, sums.maximum) if sums.num_finite else (math.nan, math.nan)
    return Statistics(minimum, maximum, mean, std, math.sqrt(sums.squares), sums.num_nan, sums.num_inf, digest)
