"""Fused attention in its parts, so that a program shows its scores, its mask and its scale."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from probe.replay.program import Call, Result


class Unfused(TorchFunctionMode):
    """Within this block, scaled_dot_product_attention is calls of matmul, mul, add, masked_fill and softmax."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") == "scaled_dot_product_attention":
            return _attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def came_fused(softmax: Call, mix: Call | None) -> bool:
    """Whether these two calls stand for a fused one: what is between them fills the rows of blind queries alone."""
    weights = mix.inputs[0] if mix is not None and mix.inputs else None
    if not isinstance(weights, Result) or weights.call.name != "masked_fill":
        return False
    filled = weights.call.inputs[0]
    return isinstance(filled, Result) and filled.call is softmax and weights.call.args[2:] == (0.0,)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """softmax(query key^T scale + mask) value, as torch documents it; nothing is dropped.

    A query that sees no key gets zeros.

    query: (..., H, T, D), key and value: (..., K, S, D), mask: added, or true where a key is seen.
    """
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (tensor.repeat_interleave(groups, -3) for tensor in (key, value))
    scores = torch.matmul(query, key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~seen, float("-inf"))
    if attn_mask is not None:
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if is_bool else scores + attn_mask
    blind = (scores == float("-inf")).all(-1, keepdim=True)
    return torch.matmul(torch.softmax(scores, -1).masked_fill(blind, 0.0), value)
