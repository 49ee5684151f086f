"""A torch tensor as the bits that a dump stores."""

import numpy as np
import torch
from numpy.typing import NDArray

from probe.dump.dtypes import BITS_ONLY, SMALL_FLOATS, storage

_SIGNED = {1: torch.int8, 2: torch.int16, 4: torch.int32}


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.bfloat16` as "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def why_not_stored(tensor: torch.Tensor) -> str | None:
    """In words, why a tensor has no plain bits to store; None where it has."""
    if tensor.layout is not torch.strided:
        return f"layout {tensor.layout}"
    if tensor.is_quantized:
        return f"quantised dtype {tensor.dtype}"
    if tensor.is_meta:
        return "on the meta device, without values"
    if tensor.is_nested:
        return "a nested tensor"
    return None


def to_bits(tensor: torch.Tensor) -> NDArray[np.generic]:
    """The tensor's bits in C order, in its shape; shares the tensor's memory where that is contiguous on the CPU."""
    name = dtype_name(tensor.dtype)
    kind = storage(name)
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    if name in SMALL_FLOATS or name in BITS_ONLY:
        return plain.view(_SIGNED[kind.itemsize]).numpy().view(kind)
    return plain.numpy()


def from_bits(bits: NDArray[np.generic], dtype: str) -> torch.Tensor:
    """The inverse of `to_bits`; shares memory with `bits`."""
    kind = storage(dtype)
    if dtype in SMALL_FLOATS or dtype in BITS_ONLY:
        signed = torch.from_numpy(bits.view(f"int{8 * kind.itemsize}"))
        return signed.view(getattr(torch, dtype))
    return torch.from_numpy(bits)
