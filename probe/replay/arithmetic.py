"""A model run in another precision without touching it: every torch call within the block computes in that precision.

A module that says `.to(torch.float32)` inside (RMSNorm, rotary embeddings) would stay at float32 in a copy of the model
cast to float64; here the cast itself is answered with float64. And no second copy of the weights is ever held.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

SMALL = (torch.float32, torch.bfloat16, torch.float16)
_CASTS = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}


class InFloat64(TorchFunctionMode):
    """All floating-point tensors are float64: the reference's formula, free of rounding for our purpose."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in ("__get__", "__set__"):
            return _property(func, args, kwargs, torch.float64)
        if func in _CASTS:
            return args[0].double()
        if func is torch.Tensor.type and len(args) == 1 and not kwargs:
            return func(*args)
        in_place = (name.endswith("_") and not name.endswith("__")) or name in ("__setitem__", "__iadd__", "__imul__")
        if name in GROUPED:
            return _grouped_mm(*_map(args, _widened), **_map(kwargs, _widened))
        first = args[:1] if in_place else ()
        args = (*first, *(_map(value, _widened) for value in args[len(first) :]))
        kwargs = {key: value if key == "out" else _map(value, _widened) for key, value in kwargs.items()}
        result = func(*args, **kwargs)
        return result if in_place else _map(result, _widened)


GROUPED = ("_grouped_mm", "grouped_mm")
"""Products of a mixture of experts; torch has no float64 kernel for them."""


def _grouped_mm(
    rows_TK: torch.Tensor, experts_EKN: torch.Tensor, *, offs: torch.Tensor, bias: torch.Tensor | None = None, **_: Any
) -> torch.Tensor:
    """Rows up to offs[0] times the first matrix, from there to offs[1] times the second, and so on.

    T rows, K channels in, N out, E experts: torch.nn.functional.grouped_mm for a 2-D by 3-D product.
    """
    ends = [0, *offs.tolist()]
    parts = [rows_TK[a:b] @ matrix for a, b, matrix in zip(ends, ends[1:], experts_EKN, strict=False)]
    product = torch.cat([*parts, rows_TK[ends[-1] :] @ experts_EKN[-1] * 0])
    return product if bias is None else product + bias


class InDtype(TorchFunctionMode):
    """Parameters are seen in `dtype`, as if the model had been loaded in it; casts that its code makes are its own.

    `model.to(dtype)` rounds buffers too (rotary frequencies), and loading in `dtype` does not: `buffers` are those to
    be seen rounded.
    """

    def __init__(self, dtype: torch.dtype, buffers: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self._dtype = dtype
        self._buffers = {id(buffer) for buffer in buffers}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in ("__get__", "__set__"):
            return _property(func, args, kwargs, self._dtype)
        args = tuple(_map(value, self._seen) for value in args)
        return func(*args, **{key: _map(value, self._seen) for key, value in kwargs.items()})

    def _seen(self, value: Any) -> Any:
        is_weight = isinstance(value, nn.Parameter) or id(value) in self._buffers
        return value.to(self._dtype) if is_weight and value.dtype in _FLOATING else value


_FLOATING = (*SMALL, torch.float64)


def _property(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], dtype: torch.dtype) -> Any:
    """`weight.dtype` must say what the mode makes of it; all other attributes are the tensor's own."""
    found = func(*args, **kwargs)
    is_parameter = isinstance(args[0], nn.Parameter) or dtype is torch.float64
    return dtype if isinstance(found, torch.dtype) and found in _FLOATING and is_parameter else found


def _widened(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in SMALL else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in SMALL else value
    return value


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` on every leaf of nested tuples, lists and dicts."""
    if isinstance(value, (torch.Tensor, torch.dtype)):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(_map(child, change) for child in value)
    if isinstance(value, tuple) and value and any(isinstance(child, torch.Tensor) for child in value):
        return type(value)(_map(child, change) for child in value)  # torch.return_types.max and the like
    if type(value) is dict:
        return {key: _map(child, change) for key, child in value.items()}
    return value
