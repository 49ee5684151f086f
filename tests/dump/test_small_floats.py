"""bfloat16 and fp8 are floating-point types of HDF5: any tool reads numbers, and ours are torch's."""

import h5py
import numpy as np
import pytest
import torch

from probe.dump import Dump
from probe.dump.dtypes import LARGEST, SMALL_FLOATS, UNIT_ROUNDOFF, decode, dtype_of, file_type, storage
from tests.dump.small import written

IEEE = ("bfloat16", "float8_e5m2")


def all_patterns(dtype):
    kind = storage(dtype)
    return np.arange(2 ** (8 * kind.itemsize), dtype=kind)


def as_torch_says(dtype):
    """The number that torch reads in each pattern."""
    patterns = all_patterns(dtype)
    signed = torch.from_numpy(patterns.view(f"int{8 * patterns.itemsize}"))
    return signed.view(getattr(torch, dtype)).float().numpy()


def differing(numbers, dtype):
    """Patterns that read as other numbers than torch's, NaN being equal to NaN and -0 other than 0."""
    expected = as_torch_says(dtype)
    same = (numbers == expected) & (np.signbit(numbers) == np.signbit(expected))
    return np.flatnonzero(~(same | (np.isnan(numbers) & np.isnan(expected)))).tolist()


def read_by_h5py(path, dtype):
    written(path, {"layer:out": (all_patterns(dtype), dtype)})
    with h5py.File(path, locking=False) as file:
        assert file["steps/0/layer:out"].dtype.kind == "f"
        return file["steps/0/layer:out"].astype(np.float32)[()]


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_every_pattern_reads_as_the_number_that_torch_says(tmp_path, dtype):
    with Dump(written(tmp_path / "x.h5", {"layer:out": (all_patterns(dtype), dtype)})) as dump:
        assert dump["layer:out"].dtype == np.float32
        assert differing(dump["layer:out"], dtype) == []


@pytest.mark.parametrize("dtype", IEEE)
def test_plain_h5py_reads_every_pattern_as_torch_does(tmp_path, dtype):
    assert differing(read_by_h5py(tmp_path / "x.h5", dtype), dtype) == []


@pytest.mark.parametrize(
    ("dtype", "first", "largest"),
    [("float8_e4m3fn", 0x78, 256), ("float8_e4m3fnuz", 0x78, 128), ("float8_e5m2fnuz", 0x7C, 32768)],
)
def test_plain_h5py_errs_only_where_a_type_departs_from_ieee(tmp_path, dtype, first, largest):
    """HDF5 has no other meaning for the largest exponent, nor for negative zero, than IEEE's."""
    nan = [] if dtype.endswith("fn") else [0x80]
    positive = list(range(first, 0x7F if dtype.endswith("fn") else 0x80))
    assert differing(read_by_h5py(tmp_path / "x.h5", dtype), dtype) == positive + nan + [128 + p for p in positive]
    assert as_torch_says(dtype)[first] == largest


def test_scales_without_a_sign_read_as_powers_of_two():
    assert differing(decode(all_patterns("float8_e8m0fnu"), "float8_e8m0fnu"), "float8_e8m0fnu") == []


def test_half_precision_complex_numbers_are_read_in_any_shape():
    halves = torch.tensor([[1.5, -2.0], [float("inf"), 0.25]]).half()
    packed = halves.numpy().view(np.uint32).reshape(2)
    assert decode(packed, "complex32").tolist() == [1.5 - 2j, complex(float("inf"), 0.25)]
    assert decode(packed[0].reshape(()), "complex32").shape == ()


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_no_two_types_of_the_file_are_taken_for_one_another(dtype):
    assert dtype_of(file_type(dtype)) == dtype


@pytest.mark.parametrize("dtype", SMALL_FLOATS)
def test_unit_roundoff_is_half_the_step_above_one(dtype):
    numbers = as_torch_says(dtype)
    assert (numbers[numbers > 1].min() - 1) / 2 == UNIT_ROUNDOFF[dtype]


@pytest.mark.parametrize("dtype", LARGEST)
def test_the_largest_number_is_torchs(dtype):
    assert torch.finfo(getattr(torch, dtype)).max == LARGEST[dtype]
