"""A model run in another precision without touching it: every torch call within the block computes in that precision.

A module that says `.to(torch.float32)` inside (RMSNorm, rotary embeddings) would stay at float32 in a copy of the model
cast to float64; here the cast itself is answered with float64. And no second copy of the weights is ever held.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
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
        if name in _LARGE:
            return _LARGE[name](*args, **kwargs)
        first = args[:1] if in_place else ()
        args = (*first, *(_map(value, _widened) for value in args[len(first) :]))
        kwargs = {key: value if key == "out" else _map(value, _widened) for key, value in kwargs.items()}
        result = func(*args, **kwargs)
        return result if in_place else _map(result, _widened)


AT_ONCE = 1 << 20
"""Weights that are widened together: 8 MiB of float64, so that no large matrix is ever there twice."""


def _linear(x: torch.Tensor, weight_NK: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """torch.nn.functional.linear, some rows of the matrix at a time (N channels out, K in)."""
    rows = max(1, AT_ONCE // max(weight_NK.shape[-1], 1))
    bias = None if bias is None else bias.double()
    if weight_NK.dim() != 2 or len(weight_NK) <= rows:
        return functional.linear(x.double(), weight_NK.double(), bias)
    product = x.new_empty((*x.shape[:-1], len(weight_NK)), dtype=torch.float64)
    for start in range(0, len(weight_NK), rows):
        part = slice(start, start + rows)
        product[..., part] = functional.linear(
            x.double(), weight_NK[part].double(), None if bias is None else bias[part]
        )
    return product


def _embedding(ids: torch.Tensor, weight: torch.Tensor, *more: Any, **options: Any) -> torch.Tensor:
    """torch.nn.functional.embedding: rows are chosen first, and only they are widened."""
    return functional.embedding(ids, weight, *more, **options).double()


def _grouped_mm(
    rows_TK: torch.Tensor, experts_EKN: torch.Tensor, *, offs: torch.Tensor, bias: torch.Tensor | None = None, **_: Any
) -> torch.Tensor:
    """torch.nn.functional.grouped_mm for a 2-D by 3-D product, for which torch has no float64 kernel.

    Rows up to offs[0] times the first matrix, from there to offs[1] times the second, and so on (T rows, K channels
    in, N out, E experts).
    """
    rows, ends = rows_TK.double(), [0, *offs.tolist()]
    product = rows.new_zeros(len(rows), experts_EKN.shape[-1])
    for first, last, matrix in zip(ends, ends[1:], experts_EKN, strict=False):
        if last > first:
            product[first:last] = rows[first:last] @ matrix.double()
    return product if bias is None else product + bias.double()


_LARGE: dict[str, Callable[..., torch.Tensor]] = {
    "linear": _linear,
    "embedding": _embedding,
    "_grouped_mm": _grouped_mm,
    "grouped_mm": _grouped_mm,
}
"""Calls whose weights are too large to be widened whole."""


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
        wide = _wide(value.dtype)
        return value if wide is value.dtype else value.to(wide)
    return _wide(value) if isinstance(value, torch.dtype) else value


def _wide(dtype: torch.dtype) -> torch.dtype:
    if dtype in SMALL:
        return torch.float64
    return torch.complex128 if dtype is torch.complex64 else dtype


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
