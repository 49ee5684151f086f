"""Statistics are numpy's in float64, over the finite elements, for every dtype and size of number."""

import math

import numpy as np
import pytest

from probe.dump.dtypes import COMPLEX, FLOATS, NUMPY_OTHERS, decode
from probe.dump.statistics import BLOCK_BYTES, statistics
from tests.dump.small import random_bits

REAL = sorted(FLOATS)
FIVE_DIGITS = 1e-5


def numbers_of(bits, dtype):
    """The finite elements in double precision; of complex ones the absolute values."""
    numbers = decode(bits, dtype)
    numbers = np.abs(numbers.astype(np.complex128)) if numbers.dtype.kind == "c" else numbers.astype(np.float64)
    return numbers[np.isfinite(numbers)]


def agree(bits, dtype):
    measured = statistics(bits, dtype)
    with np.errstate(all="ignore"):
        finite = numbers_of(bits, dtype)
        everything = decode(bits, dtype)
        counts = int(np.isnan(everything).sum()), int(np.isinf(everything).sum())
    scale = float(np.abs(finite).max())
    close = {"rel": FIVE_DIGITS, "abs": FIVE_DIGITS * scale}
    assert (measured.num_nan, measured.num_inf) == counts
    assert (measured.minimum, measured.maximum) == (finite.min(), finite.max())
    assert measured.mean == pytest.approx(finite.mean(), **close)
    assert measured.std == pytest.approx(finite.std(), **close)
    assert measured.l2 == pytest.approx(scale * float(np.linalg.norm(finite / (scale or 1))), rel=FIVE_DIGITS)


def drawn(dtype, count, *, seed=1):
    """Ordinary numbers as activations are, with some NaN and infinities; of small types, any of their patterns."""
    if dtype in ("float16", "float32", "float64"):
        values = np.random.default_rng(seed).standard_normal(count).astype(dtype)
        values[::5001], values[1::5003] = np.nan, np.inf
        return values
    if dtype == "bfloat16":
        return (drawn("float32", count, seed=seed).view(np.uint32) >> 16).astype(np.uint16)
    return random_bits((count,), dtype, seed=seed)


@pytest.mark.parametrize("dtype", [*REAL, *NUMPY_OTHERS])
@pytest.mark.parametrize("count", [1, 7, 1000, 3 * BLOCK_BYTES // 8 + 5])
def test_real_numbers(dtype, count):
    bits = drawn(dtype, count) if count > 7 else random_bits((count,), "uint8").astype("uint8") % 2
    if count <= 7:
        bits = bits.astype(random_bits((1,), dtype).dtype)
    agree(bits, dtype)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_numbers_by_their_absolute_values(dtype):
    draw = np.random.default_rng(0)
    values = (draw.standard_normal(5000) + 1j * draw.standard_normal(5000)).astype(dtype)
    values[3], values[4], values[5] = complex("nan"), complex(np.inf, 1), complex(1, -np.inf)
    agree(values, dtype)
    largest = np.finfo(dtype).max
    if dtype == "complex64":  # the absolute value is beyond float32
        agree(np.array([complex(largest, largest)], dtype), dtype)


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e-38, 3e38, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_huge_and_tiny_numbers(dtype, scale):
    values = (np.random.default_rng(2).uniform(-1, 1, 200_000) * scale).astype("float64")
    values = values.astype("float32") if dtype != "float64" else values
    agree((values.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else values, dtype)


def test_numbers_whose_squares_leave_double_precision():
    huge = statistics(np.array([1e200, -1e200]), "float64")
    assert (huge.maximum, huge.l2, huge.std) == (1e200, math.inf, math.inf)
    tiny = statistics(np.array([1e-200, -1e-200]), "float64")
    assert (tiny.maximum, tiny.l2, tiny.std) == (1e-200, 0, 0)


@pytest.mark.parametrize("dtype", [*REAL, *NUMPY_OTHERS, *COMPLEX])
def test_an_empty_tensor_has_no_mean_and_no_length(dtype):
    measured = statistics(random_bits((0,), dtype), dtype)
    assert all(map(math.isnan, (measured.minimum, measured.maximum, measured.mean, measured.std)))
    assert (measured.l2, measured.num_nan, measured.num_inf) == (0, 0, 0)


def test_a_tensor_of_nothing_finite_is_counted():
    measured = statistics(np.array([np.nan, np.inf, -np.inf, np.nan], np.float32), "float32")
    assert math.isnan(measured.mean)
    assert (measured.l2, measured.num_nan, measured.num_inf) == (0, 2, 2)


@pytest.mark.parametrize("value", [0.0, 1000.0, -3.3e7, 1e-12])
def test_a_constant_does_not_deviate(value):
    measured = statistics(np.full(100_000, value, np.float32), "float32")
    assert (measured.minimum, measured.std) == (np.float32(value), 0)
    assert measured.mean == pytest.approx(value, rel=FIVE_DIGITS)


def test_signalling_nan_is_counted_without_a_warning():
    bits = np.array([0x7FA00000, 0xFFA00001, 0x3F800000], np.uint32)
    assert statistics(bits.view(np.float32), "float32").num_nan == 2
    halves = np.array([0x7D00, 0xFD01, 0x3C00], np.uint16)
    assert statistics(halves.view(np.float16), "float16").num_nan == 2
    assert statistics(np.array([0x7FA0, 0x3F80], np.uint16), "bfloat16").num_nan == 1
