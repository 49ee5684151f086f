"""Rotary embeddings: theta, layout, positions, scaling, left out, done twice, done before what should come first."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.zoo.bug import Bug, Plant, Site
from tests.zoo.plants import change_weight, with_argument, with_function
from tests.zoo.weight_bugs import interleaved

ROTARY = (
    "llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3", "phi3", "mixtral", "qwen3-moe",
    "qwen2-moe", "gpt-neox",
)  # fmt: skip
WHOLE = tuple(view for view in ROTARY if view != "gpt-neox")
"""Those that turn all channels of a head."""
LINEAR = {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}
LLAMA3 = {
    "rope_parameters": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
        "rope_theta": 10000.0,
    }
}
TEN_THOUSAND = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
THETA = {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}
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


AT = ("attn", "rope")
BUGS = [
    Bug(
        "theta 1e4 for 5e5",
        "rope.theta",
        ("llama", "qwen2", "qwen3", "mistral", "phi3", "granite"),
        AT,
        code=angles(10000.0),
        config=THETA,
    ),
    Bug(
        "theta 1e6 for 1e4",
        "rope.theta",
        ("llama", "mixtral", "gemma", "gemma2", "qwen3-moe"),
        AT,
        code=angles(1e6),
        config=TEN_THOUSAND,
    ),
    Bug("neighbouring channels turned", "rope.layout", WHOLE, AT, code=rotating(neighbours)),
    Bug(
        "rows of keys in the other layout",
        "rope.layout",
        ("llama", "mistral", "qwen2", "granite", "gemma"),
        ("k", "attn"),
        weights=rows_interleaved("k"),
        also=("linear.row_order",),
    ),
    Bug("queries one position later", "rope.position", ROTARY, AT, code=rotating(query_one_later)),
    Bug("second half counted from zero", "rope.position", ROTARY, AT, code=rotating(second_half_from_zero)),
    Bug(
        "linear scaling ignored",
        "rope.scaling",
        ("llama", "qwen2", "mistral", "gemma"),
        AT,
        code=angles(10000.0),
        config=LINEAR,
        scope="all",
    ),
    Bug(
        "llama3 scaling ignored",
        "rope.scaling",
        ("llama", "qwen2", "qwen3"),
        AT,
        code=angles(10000.0),
        config=LLAMA3,
        scope="all",
    ),
    Bug("no rotation", "rope.missing", ROTARY, AT, code=rotating(lambda rotate, q, k, cos, sin: (q, k))),
    Bug("rotated twice", "rope.twice", ROTARY, AT, code=rotating(twice)),
    Bug(
        "norm of queries and keys after rotation",
        "rope.order",
        ("qwen3", "qwen3-moe", "gemma3"),
        ("attn", "q_norm", "k_norm"),
        code=normed_after,
        also=("norm.order",),
    ),
]
