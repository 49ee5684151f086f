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


_NUM_WORDS = BLOCK_BYTES // 8
_WHOLE, _UPPER = _multipliers(2 * _NUM_WORDS).reshape(2, _NUM_WORDS)
_HALF = np.uint64(32)
_ONES = np.ones(BLOCK_BYTES // 2, np.float32)
"""For sums by BLAS; fp8 has more elements a block, and takes the slower way."""


def _block_hash(block: NDArray[np.uint8]) -> int:
    """Sum of the block's 64-bit words, each times its own odd number, modulo 2**64; the rest is padded with zeros.

    The upper half of each word is added again, times another number. Its bits would else meet the lowest bits of the
    first one alone: a one that moved to another place would often hash the same, and -x always as x does.
    """
    count = len(block) // 8
    words = block[: 8 * count].view(np.uint64)
    total = int(np.einsum("w,w->", words, _WHOLE[:count])) + int(np.einsum("w,w->", words >> _HALF, _UPPER[:count]))
    if 8 * count < len(block):
        last = int.from_bytes(block[8 * count :].tobytes(), "little")
        total += last * int(_WHOLE[count]) + (last >> 32) * int(_UPPER[count])
    return total & MASK


def tensor_hash(bits: Bits) -> int:
    """64-bit hash of a contiguous tensor's bytes. Not cryptographic: it guards against chance, not against malice."""
    raw = bits.reshape(-1).view(np.uint8)
    digest = len(raw)
    for start in range(0, len(raw), BLOCK_BYTES):
        digest = _mix(digest, _block_hash(raw[start : start + BLOCK_BYTES]))
    return digest


def _mix(digest: int, block_hash: int) -> int:
    digest = (digest * 0x9E3779B97F4A7C15 + block_hash) & MASK
    return digest ^ (digest >> 29)


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
        low, high = float(numbers.min()), float(numbers.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            num_nan = int(np.isnan(numbers).sum())
            self.num_nan += num_nan
            self.num_inf += int(np.isinf(numbers).sum())
            numbers = numbers[np.isfinite(numbers)]
            if not len(numbers):
                return
            low, high = float(numbers.min()), float(numbers.max())
        squares = float(np.dot(numbers, numbers))
        if not math.isfinite(squares) or (squares < 1e-20 and (low or high)):  # float32 over- or underflows
            numbers = numbers.astype(np.float64)
            squares = float(np.dot(numbers, numbers))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        is_small = numbers.dtype == np.float32 and len(numbers) <= len(_ONES)
        self.total += float(np.dot(numbers, _ONES[: len(numbers)]) if is_small else numbers.sum())  # BLAS is faster
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
    digest = bits.nbytes
    length = BLOCK_BYTES // bits.itemsize
    for start in range(0, len(bits), length):
        block = bits[start : start + length]
        digest = _mix(digest, _block_hash(block.view(np.uint8)))
        with np.errstate(all="ignore"):  # a signalling NaN, squares of 1e200: counted or said above, no warning
            sums.add(decode(block, dtype))
    mean, std = sums.spread()
    minimum, maximum = (sums.minimum, sums.maximum) if sums.num_finite else (math.nan, math.nan)
    return Statistics(minimum, maximum, mean, std, math.sqrt(sums.squares), sums.num_nan, sums.num_inf, digest)
