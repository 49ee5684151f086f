"""What is computed on a device instead of the host is the same, or is refused; here it is computed on the CPU."""

import math

import numpy as np
import pytest
import torch

from probe.capture.packed import packed_sketch, unpacked
from probe.capture.sketch import sketch
from probe.capture.sums import can_be_summed, sums
from probe.capture.tensors import dtype_name, to_bits
from probe.dump.detail import Detail
from probe.dump.statistics import from_sums, statistics

FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
DETAIL = Detail(16)


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def known(tensor):
    return from_sums(to_bits(tensor).reshape(-1), sums(tensor).numpy())


@pytest.mark.parametrize("shape", [(), (1,), (7, 300), (3, 1000, 33)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_statistics_of_sums_are_those_of_the_numbers(dtype, shape):
    tensor = random(*shape, dtype=dtype) * 3 + 1
    expected, found = statistics(to_bits(tensor).reshape(-1), dtype_name(dtype)), known(tensor)
    assert (found.hash, found.num_nan, found.num_inf) == (expected.hash, 0, 0)
    assert (found.minimum, found.maximum) == (expected.minimum, expected.maximum)
    for one, other in ((found.mean, expected.mean), (found.std, expected.std), (found.l2, expected.l2)):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 1e-20])
def test_sums_that_do_not_tell_are_refused(value):
    tensor = torch.full((4, 5), value)
    assert known(tensor) is None
    mixed = random(4, 5)
    mixed[2, 3] = value
    assert (known(mixed) is None) == (value != 1e-20)


def test_zeros_have_statistics_and_float64_keeps_its_range():
    assert known(torch.zeros(5)).l2 == 0
    assert known(torch.full((4,), 1e100, dtype=torch.float64)).l2 == pytest.approx(2e100)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_other_numbers_are_left_to_the_host(dtype):
    assert not can_be_summed(dtype, 5)
    assert not can_be_summed(torch.float32, 0)


@pytest.mark.parametrize("num_channels", [17, 64, 200])
@pytest.mark.parametrize("dtype", [*FLOATS, torch.float8_e4m3fn])
def test_a_sketch_that_is_made_unseen_is_the_one_that_is_looked_at(dtype, num_channels):
    tensor = random(2, 5, num_channels, dtype=dtype)
    _same(unpacked(packed_sketch(tensor, DETAIL).numpy(), 16, tuple(tensor.shape)), sketch(tensor, DETAIL))


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e25, 0.0])
def test_so_is_one_of_numbers_that_are_no_numbers_or_leave_float32(size):
    tensor = size * random(6, 200)
    _same(unpacked(packed_sketch(tensor, DETAIL).numpy(), 16, (6, 200)), sketch(tensor, DETAIL))
    tensor[1, 3], tensor[2, 5], tensor[3, 7], tensor[4, 9] = math.nan, math.inf, -math.inf, torch.finfo().min
    _same(unpacked(packed_sketch(tensor, DETAIL).numpy(), 16, (6, 200)), sketch(tensor, DETAIL))


def _same(found, expected):
    assert (found.num_nan, found.num_inf) == (expected.num_nan, expected.num_inf)
    assert found.l2 == pytest.approx(expected.l2, rel=1e-6)
    size = float(expected.rows.abs().max()) or 1.0
    np.testing.assert_allclose(found.rows.double() / size, expected.rows.double() / size, atol=1e-6)
