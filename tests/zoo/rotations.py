"""Wrong ways to rotate queries and keys."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.zoo.bug import Plant, Site
from tests.zoo.plants import change_weight, with_argument, with_function
from tests.zoo.weight_bugs import interleaved

Rotate = Callable[..., tuple[Tensor, Tensor]]


def rotating(replacement: Callable[..., tuple[Tensor, Tensor]]) -> Plant:
    """`replacement(rotate, q, k, cos, sin)` in the place of `rotate`; q and k are (B, H, T, D), the rest (B, T, D)."""

    def replaced(original: Rotate, module: Any, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, **named: Any) -> Any:
        return replacement(lambda *given: original(*given, **named), q, k, cos, sin)

    return with_function("attn", "apply_rotary_pos_emb", replaced)


def angles(theta: float) -> Plant:
    """Angles of plain frequencies theta^(-2i/D), whatever the model has."""

    def change(value: tuple[Tensor, Tensor], module: Any) -> tuple[Tensor, Tensor]:
        cos = value[0]
        half = cos.shape[-1] // 2
        turns = torch.arange(cos.shape[1])[:, None] * theta ** (-torch.arange(half) / half)
        both = torch.cat([turns, turns], dim=-1).expand(cos.shape)
        return both.cos().to(cos.dtype), both.sin().to(cos.dtype)

    return with_argument("attn", "position_embeddings", change)


def neighbours(rotate: Rotate, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Channels 2i and 2i + 1 turn together, where the weights are made for i and i + D/2."""
    halves = (x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2) for x in (q, k))
    q, k = rotate(*halves, cos, sin)
    return tuple(x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2) for x in (q, k))


def query_one_later(rotate: Rotate, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Queries at position t + 1, keys at t; by the formula for the cosine and sine of a sum."""
    one_cos, one_sin = cos[:, 1:2], sin[:, 1:2]
    later = rotate(q, k, cos * one_cos - sin * one_sin, sin * one_cos + cos * one_sin)[0]
    return later, rotate(q, k, cos, sin)[1]


def second_half_from_zero(rotate: Rotate, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """As a prompt in two chunks, whose second forgets how long the first was."""
    half = cos.shape[1] // 2
    cos, sin = (torch.cat([x[:, :half], x[:, : x.shape[1] - half]], dim=1) for x in (cos, sin))
    return rotate(q, k, cos, sin)


def twice(rotate: Rotate, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    return rotate(*rotate(q, k, cos, sin), cos, sin)


def normed_after(site: Site) -> None:
    """The norms of queries and keys do nothing where they stand, and their work after the rotation."""
    for attention in site.modules("attn"):
        norms = attention.q_norm.forward, attention.k_norm.forward
        attention.q_norm.forward = attention.k_norm.forward = lambda x: x

        def late(
            original: Rotate, module: Any, q: Tensor, k: Tensor, *given: Any, norms: Any = norms, **named: Any
        ) -> Any:
            return tuple(norm(x) for norm, x in zip(norms, original(q, k, *given, **named), strict=True))

        one = Site(site.model, site.view, (attention.layer_idx,), site.generator)
        with_function("attn", "apply_rotary_pos_emb", late)(one)


def rows_interleaved(role: str) -> Plant:
    return change_weight(role, lambda weight, site: interleaved(head_dim(site), weight))


def head_dim(site: Site) -> int:
    config = site.config
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
