"""A torch tensor as the bits that a dump stores."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parameter import is_lazy

from probe.dump.dtypes import BITS_ONLY, DTYPES, SMALL_FLOATS, storage
from probe.errors import ProbeError

Mark = tuple[int | None, int, tuple[int, ...], torch.dtype]

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32}


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
    name = dtype_name(tensor.dtype)
    kind = storage(name)
    try:
        plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        if name in SMALL_FLOATS or name in BITS_ONLY:
            return plain.view(_SIGNED[kind.itemsize]).numpy().view(kind)
        return plain.numpy()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ProbeError(f"a {type(tensor).__name__}, whose values cannot be had: {error}") from None


def from_bits(bits: NDArray[np.generic], dtype: str) -> torch.Tensor:
    """The inverse of `to_bits`; shares memory with `bits`."""
    kind = storage(dtype)
    if dtype in SMALL_FLOATS or dtype in BITS_ONLY:
        signed = torch.from_numpy(bits.view(f"int{8 * kind.itemsize}"))
        return signed.view(getattr(torch, dtype))
    return torch.from_numpy(bits)
