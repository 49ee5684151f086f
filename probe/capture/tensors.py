"""A torch tensor as the bits that a dump stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy

from probe.dump.dtypes import BITS_ONLY, DTYPES, SMALL_FLOATS, storage
from probe.errors import ProbeError

Mark = tuple[int | None, int, tuple[int, ...], torch.dtype]

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32}


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """`torch.bfloat16` as "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def why_not_stored(tensor: torch.Tensor) -> str | None:
    """In words, why a tensor has no plain bits to store; None where it has."""
    if is_lazy(tensor):
        return "not initialised yet"
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout is not torch.strided:
        return f"layout {tensor.layout}"
    if tensor.is_quantized:
        return f"quantised dtype {tensor.dtype}"
    if tensor.is_meta:
        return "on the meta device, without values"
    if dtype_name(tensor.dtype) not in DTYPES:
        return f"dtype {tensor.dtype}"
    try:
        tensor.data_ptr()
    except RuntimeError:
        return f"a {type(tensor).__name__}, which has no values of its own"
    return None


def mark(tensor: torch.Tensor) -> Mark:
    """What changes when torch knows that a tensor's values did; it does not count the changes of inference tensors."""
    version = None if tensor.is_inference() else tensor._version
    return version, tensor.data_ptr(), tuple(tensor.shape), tensor.dtype


def to_bits(tensor: torch.Tensor) -> NDArray[np.generic]:
    """The tensor's bits in C order, in its shape; shares the tensor's memory where that is contiguous on the CPU.

    ProbeError for a tensor of a class that will not give its values (a sharded one).
    """
    if is_ordinary(tensor):
        return _bits(tensor)
    with values_can_be_had(tensor):
        return _bits(tensor)


def _bits(tensor: torch.Tensor) -> NDArray[np.generic]:
    bits: NDArray[np.generic] = plain_bits(tensor).cpu().contiguous().numpy()
    return bits.view(storage(dtype_name(tensor.dtype)))


def num_stored_bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def is_ordinary(tensor: torch.Tensor) -> bool:
    """Of no class of its own, and not about to become a constant of a traced graph."""
    return type(tensor) in (torch.Tensor, nn.Parameter) and torch._C._get_tracing_state() is None


def plain_bits(tensor: torch.Tensor) -> torch.Tensor:
    """The same bits on the same device, as a dtype that numpy has."""
    plain = tensor.detach().resolve_conj().resolve_neg()
    name = dtype_name(tensor.dtype)
    return plain.view(_SIGNED[plain.element_size()]) if name in SMALL_FLOATS or name in BITS_ONLY else plain


@contextmanager
def values_can_be_had(tensor: torch.Tensor) -> Iterator[None]:
    """Within this block, ProbeError for a tensor of a class that will not give its values (a sharded one)."""
    try:
        yield
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ProbeError(f"a {type(tensor).__name__}, whose values cannot be had: {error}") from None


def from_bits(bits: NDArray[np.generic], dtype: str) -> torch.Tensor:
    """The inverse of `to_bits`; shares memory with `bits`."""
    kind = storage(dtype)
    if dtype in SMALL_FLOATS or dtype in BITS_ONLY:
        signed = torch.from_numpy(bits.view(f"int{8 * kind.itemsize}"))
        return signed.view(getattr(torch, dtype))
    return torch.from_numpy(bits)
