"""Keys and values that were repeated, so that each query head has its own: what they were before.

K heads become H = K n, by expand and reshape or by repeat_interleave, and may be turned around for the product.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a tensor is the repetition of."""

    plain: torch.Tensor
    """[B, K, S, D]"""
    is_turned: bool = False
    """Whether the repetition has its last two axes in the other order."""


def repeated(name: str, args: tuple[Any, ...], result: torch.Tensor) -> Repeated | None:
    """After reshape of [B, K, n (of stride 0), S, D] to [B, K n, S, D], or repeat_interleave along one axis."""
    given = args[0]
    if name == "repeat_interleave":
        return Repeated(given) if given.dim() == result.dim() >= 3 else None
    if given.dim() != result.dim() + 1 or 0 not in given.stride() or given.dim() < 4:
        return None
    axis = next((i for i, (by, n) in enumerate(zip(given.stride(), given.shape, strict=True)) if not by and n > 1), 0)
    if not axis or (*given.shape[: axis - 1], given.shape[axis - 1] * given.shape[axis]) != result.shape[:axis]:
        return None
    with torch._C.DisableTorchFunction():
        return Repeated(given.select(axis, 0)) if given.shape[axis + 1 :] == result.shape[axis:] else None


def turned(known: Repeated, name: str, args: tuple[Any, ...], result: torch.Tensor) -> Repeated | None:
    """What the result of a call on a repetition is; None for anything but it, or it with its last axes exchanged."""
    axes = tuple(axis % result.dim() for axis in args[1:3] if isinstance(axis, int)) if len(args) > 2 else ()
    last = (result.dim() - 2, result.dim() - 1)
    if name == "mT" or (name in ("transpose", "swapaxes") and tuple(sorted(axes)) == last):
        return replace(known, is_turned=not known.is_turned)
    return known if name in ("contiguous", "clone", "to", "type_as", "float", "half", "bfloat16") else None
