"""How each torch dtype lies in the file, and how its bits become numbers again.

bfloat16 and fp8 are real HDF5 floating-point types, so that any HDF5 tool shows numbers; they are written and read
bit for bit, since HDF5's own conversion is some 200 times slower. HDF5 takes the largest exponent for inf and NaN, as
IEEE does. In the three types that do otherwise its tools therefore err there, and `decode` does not: e4m3fn from 256
on (0x78), the fnuz types from 128 (e4m3) and 32768 (e5m2) on and at their NaN (0x80). The bit layouts are those of the
OCP 8-bit floating point specification (e4m3fn, e5m2) and of the ONNX float 8 page (the fnuz variants).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from probe.errors import ProbeError

Bits = NDArray[Any]
"""Of any dtype that holds the bits."""


@dataclass(frozen=True, slots=True)
class SmallFloat:
    """A floating-point type that numpy lacks."""

    exponent_bits: int
    mantissa_bits: int
    bias: int
    nan: str
    """What the largest exponent means: "ieee" inf and NaN, "fn" NaN in all ones alone, "fnuz" NaN at negative zero."""

    @property
    def size(self) -> int:
        return (1 + self.exponent_bits + self.mantissa_bits) // 8


SMALL_FLOATS = {
    "bfloat16": SmallFloat(8, 7, 127, "ieee"),
    "float8_e5m2": SmallFloat(5, 2, 15, "ieee"),
    "float8_e4m3fn": SmallFloat(4, 3, 7, "fn"),
    "float8_e5m2fnuz": SmallFloat(5, 2, 16, "fnuz"),
    "float8_e4m3fnuz": SmallFloat(4, 3, 8, "fnuz"),
}
NUMPY_FLOATS = ("float16", "float32", "float64")
NUMPY_OTHERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
COMPLEX = ("complex64", "complex128")
BITS_ONLY = {"float8_e8m0fnu": "uint8", "float4_e2m1fn_x2": "uint8", "complex32": "uint32"}
"""Stored as plain integers: HDF5 has no type for them."""

FLOATS = frozenset((*SMALL_FLOATS, *NUMPY_FLOATS))
DTYPES = frozenset((*FLOATS, *NUMPY_OTHERS, *COMPLEX, *BITS_ONLY))
"""All that a dump can hold."""

LARGEST = {
    **{name: float(np.finfo(name).max) for name in NUMPY_FLOATS},
    "bfloat16": float(np.array(0x7F7F0000, np.uint32).view(np.float32)),
}
"""The largest finite number: models write its negative for minus infinity."""

UNIT_ROUNDOFF = {
    **{name: float(np.finfo(name).eps) / 2 for name in NUMPY_FLOATS},
    **{name: 2.0 ** -(small.mantissa_bits + 1) for name, small in SMALL_FLOATS.items()},
}
"""Half the distance from 1 to the next number."""


@cache
def storage(dtype: str) -> np.dtype[np.generic]:
    """The numpy type that holds the bits of `dtype`; ProbeError where this format has no place for it."""
    if dtype in SMALL_FLOATS:
        return np.dtype(f"uint{8 * SMALL_FLOATS[dtype].size}")
    if dtype in BITS_ONLY:
        return np.dtype(BITS_ONLY[dtype])
    if dtype in NUMPY_FLOATS or dtype in NUMPY_OTHERS or dtype in COMPLEX:
        return np.dtype(dtype)
    raise ProbeError(f"a tensor of dtype {dtype} cannot be stored in a dump")


@cache
def file_type(dtype: str) -> h5py.h5t.TypeID:
    """The HDF5 type that a dataset of `dtype` has in the file."""
    if dtype not in SMALL_FLOATS:
        return h5py.h5t.py_create(storage(dtype), logical=True)
    small = SMALL_FLOATS[dtype]
    width = 8 * small.size
    made = h5py.h5t.IEEE_F16LE.copy()
    made.set_fields(width - 1, small.mantissa_bits, small.exponent_bits, 0, small.mantissa_bits)
    made.set_size(small.size)
    made.set_precision(width)
    made.set_ebias(small.bias)
    return made


def dtype_of(stored: h5py.h5t.TypeID) -> str:
    """The inverse of `file_type`, but those of BITS_ONLY come back as the integers that they are stored as."""
    for dtype in (*SMALL_FLOATS, *NUMPY_FLOATS, *NUMPY_OTHERS, *COMPLEX):
        if stored.equal(file_type(dtype)):
            return dtype
    raise ValueError("a type that no dump has")


@cache
def _table(dtype: str) -> NDArray[np.float32]:
    """The number that each of the 256 bit patterns of an 8-bit float stands for."""
    if dtype == "float8_e8m0fnu":
        powers = np.exp2(np.arange(256, dtype=np.float64) - 127)
        powers[255] = np.nan
        return powers.astype(np.float32)
    small = SMALL_FLOATS[dtype]
    codes = np.arange(256)
    mantissa = codes & (2**small.mantissa_bits - 1)
    exponent = (codes >> small.mantissa_bits) & (2**small.exponent_bits - 1)
    fraction = mantissa / 2**small.mantissa_bits
    numbers = np.where(
        exponent == 0, fraction * 2.0 ** (1 - small.bias), (1 + fraction) * 2.0 ** (exponent - small.bias)
    )
    top = exponent == 2**small.exponent_bits - 1
    if small.nan == "ieee":
        numbers = np.where(top, np.where(mantissa == 0, np.inf, np.nan), numbers)
    elif small.nan == "fn":
        numbers = np.where(top & (mantissa == 2**small.mantissa_bits - 1), np.nan, numbers)
    numbers = np.where(codes >= 128, -numbers, numbers)
    if small.nan == "fnuz":
        numbers[128] = np.nan
    return np.asarray(numbers, np.float32)


def decode(bits: Bits, dtype: str) -> Bits:
    """Stored bits as numbers: bfloat16, float16 and fp8 become float32, complex32 complex64; others stay."""
    if dtype == "bfloat16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        return bits.astype(np.float32)
    if dtype in SMALL_FLOATS or dtype == "float8_e8m0fnu":
        return np.asarray(_table(dtype)[bits])
    if dtype == "complex32":
        halves = bits.reshape(-1).view(np.float16).astype(np.float32)
        return halves.view(np.complex64).reshape(bits.shape)
    return bits
