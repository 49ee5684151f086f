"""Scores on their way from the product of query and key to softmax: what they were multiplied by, capped and masked."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from probe.capture.einsum import Product
from probe.capture.hooks import Call


@dataclass(frozen=True, slots=True)
class Seen:
    """A tensor at a port."""

    port: str
    tensor: torch.Tensor
    source: torch.Tensor | None = None
    """The model's own tensor that it was made of by us, as a view."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What scores were masked with."""

    tensor: torch.Tensor
    hides: bool = False
    """Of a boolean one: whether True hides a key from a query (masked_fill), or shows it (the fused function)."""

    def seen(self, port: str) -> Seen:
        """As the fused function takes it."""
        if self.hides and self.tensor.dtype == torch.bool:
            return Seen(port, self.tensor.logical_not())
        return Seen(port, self.tensor)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a tensor is: scores to be, on the way from the product to softmax."""

    owner: Call
    query: Seen
    key: Seen
    scale: float = 1.0
    last_factor: float = 1.0
    """What they were multiplied by last: before tanh that is 1 / cap."""
    cap: float | None = None
    masks: tuple[Mask, ...] = ()
    product: Product | None = None
    """How their axes lie, where that is not as matmul has them."""

    def arranged(self, port: str, tensor: torch.Tensor) -> "Seen":
        """A tensor with the scores' axes, as [B, H, T, S]."""
        if self.product is None or tensor.dim() != len(self.product.labels):
            return Seen(port, tensor)
        return Seen(port, self.product.arranged(tensor), tensor)


def carried(known: Scores, name: str, args: tuple[Any, ...], argument: torch.Tensor) -> Scores:
    """After a call of that name, to which the scores were `argument`."""
    others = [other for other in args if other is not argument]
    tensors = [other for other in others if isinstance(other, torch.Tensor) and other.dim()]
    if name in _MASKING and tensors:
        hides = name == "masked_fill" or (name == "where" and argument is args[-1])
        return replace(known, masks=(*known.masks, Mask(tensors[0], hides)))
    factor = None if known.cap is not None or not others or argument is not args[0] else _factor(name, others[0])
    return known if not factor else replace(known, scale=known.scale * factor, last_factor=factor)


_MASKING = {"add", "iadd", "radd", "masked_fill", "where", "sub", "isub"}


def _factor(name: str, other: Any) -> float | None:
    """What the scores are multiplied by; a number that lies on another device is not waited for."""
    if isinstance(other, torch.Tensor):
        other = other.item() if not other.dim() and other.device.type == "cpu" else None
    if not isinstance(other, (int, float)):
        return None
    if name in ("mul", "imul", "rmul"):
        return float(other)
    return 1 / other if name in ("div", "true_divide", "truediv", "itruediv") and other else None
