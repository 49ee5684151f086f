"""Which torch functions are looked at, and what for: found by identity, so that all others cost one look-up.

A function goes by one name wherever torch has it: `x @ y`, torch.matmul and Tensor.matmul are `matmul`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Kind(Enum):
    FUSED_ATTENTION = auto()
    SOFTMAX = auto()
    PRODUCT = auto()
    """Of two matrices, or of stacks of them."""
    PLAIN = auto()
    """Recorded, and of no part in attention."""
    CARRIES = auto()
    """Between the products of attention: scales, masks, caps, casts, drops, reshapes. Not recorded."""


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    kind: Kind


_PLAIN = (
    "linear gelu silu relu relu6 leaky_relu prelu elu selu celu mish softplus softsign hardtanh hardswish hardsigmoid "
    "tanh sigmoid logsigmoid log_softmax softmin glu layer_norm rms_norm group_norm batch_norm instance_norm"
)
_CARRIES = (
    "mul div true_divide add sub masked_fill where clamp clip to float half bfloat16 double type type_as dropout "
    "contiguous clone view reshape flatten unflatten unsqueeze squeeze expand __getitem__ transpose swapaxes permute "
    "repeat_interleave nan_to_num cat narrow __imul__ __iadd__ __itruediv__ __isub__ __rmul__ __radd__ __mul__ __add__ "
    "__sub__ __truediv__"
)
PRODUCTS = frozenset({"matmul", "mm", "bmm", "baddbmm", "addmm", "einsum"})
_NAMES = {
    "scaled_dot_product_attention": Kind.FUSED_ATTENTION,
    "softmax": Kind.SOFTMAX,
    **dict.fromkeys((*sorted(PRODUCTS), "__matmul__"), Kind.PRODUCT),
    **dict.fromkeys(_PLAIN.split(), Kind.PLAIN),
    **dict.fromkeys(_CARRIES.split(), Kind.CARRIES),
}


def _named() -> Iterator[tuple[Callable[..., Any], Function]]:
    for place in (torch, torch.Tensor, functional, torch._C._nn, torch.special):
        for name, kind in _NAMES.items():
            for spelled in (name, f"{name}_"):
                if callable(found := getattr(place, spelled, None)):
                    yield found, Function(name.strip("_"), kind)
    for turned in ("mT", "T"):
        yield getattr(torch.Tensor, turned).__get__, Function(turned, Kind.CARRIES)


FUNCTIONS = MappingProxyType(dict(_named()))
"""By the function itself, as a TorchFunctionMode is given it."""


def writes(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call may write into what it is given."""
    name = getattr(func, "__name__", "")
    by_name = name in ("__setitem__", "__set__") or (name.endswith("_") and not name.endswith("__"))
    inplace = name.startswith("__i") or kwargs.get("inplace") or "out" in kwargs
    return by_name or bool(inplace) or any(argument is True for argument in args[1:])


def is_weight(tensor: torch.Tensor) -> bool:
    """A parameter, or a view of one."""
    return isinstance(tensor, nn.Parameter) or isinstance(tensor._base, nn.Parameter)
