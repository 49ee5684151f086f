"""A Llama as somebody would write it in JAX: functions of arrays, float32, and nothing of torch or transformers.

`run` computes what the Llama of references.py does, and tells of the places that it is asked for, by that model's
names. B sentences of T tokens, C channels, H query and K key heads of D channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[Any]

BUGS = ("eps", "rope_theta", "scale", "gate_up_swapped", "norms_swapped", "causal_off_by_one")


def weights_of(model: nn.Module) -> dict[str, Array]:
    return {name: weight.detach().numpy() for name, weight in model.named_parameters()}


def run(
    weights: Mapping[str, Array], config: Any, ids_BT: Array, bug: str = "", bug_layer: int = 1
) -> dict[str, Array]:
    """Every place's array by its tap, in the order of execution; `bug` is one of BUGS, in `bug_layer`."""
    told: dict[str, Array] = {}
    x_BTC = weights["model.embed_tokens.weight"][ids_BT]
    told["model.embed_tokens:out"] = x_BTC
    for number in range(config.num_hidden_layers):
        x_BTC = _layer(weights, config, x_BTC, f"model.layers.{number}", bug if number == bug_layer else "", told)
    x_BTC = _norm(x_BTC, weights["model.norm.weight"], config.rms_norm_eps)
    told["model.norm:out"] = x_BTC
    told["lm_head:out"] = x_BTC @ weights["lm_head.weight"].T
    return told


def _layer(
    weights: Mapping[str, Array], config: Any, x_BTC: Array, name: str, bug: str, told: dict[str, Array]
) -> Array:
    norms = ["input_layernorm", "post_attention_layernorm"]
    first, second = reversed(norms) if bug == "norms_swapped" else norms
    eps = 1e-3 if bug == "eps" else config.rms_norm_eps
    normed_BTC = _norm(x_BTC, weights[f"{name}.{first}.weight"], eps)
    told[f"{name}.input_layernorm:out"] = normed_BTC
    attended_BTC = _attention(weights, config, normed_BTC, f"{name}.self_attn", bug, told)
    told[f"{name}.self_attn:out"] = attended_BTC
    x_BTC = x_BTC + attended_BTC
    told[f"{name}.post_attention_layernorm:in"] = x_BTC
    normed_BTC = _norm(x_BTC, weights[f"{name}.{second}.weight"], config.rms_norm_eps)
    told[f"{name}.post_attention_layernorm:out"] = normed_BTC
    fed_BTC = _feed_forward(weights, normed_BTC, f"{name}.mlp", bug, told)
    told[f"{name}.mlp:out"] = fed_BTC
    x_BTC = x_BTC + fed_BTC
    told[f"{name}:out"] = x_BTC
    return x_BTC


def _attention(
    weights: Mapping[str, Array], config: Any, x_BTC: Array, name: str, bug: str, told: dict[str, Array]
) -> Array:
    batch, length, _ = x_BTC.shape
    groups = config.num_attention_heads // config.num_key_value_heads
    size = config.hidden_size // config.num_attention_heads
    q, k, v = (
        (x_BTC @ weights[f"{name}.{letter}_proj.weight"].T).reshape(batch, length, -1, size).transpose(0, 2, 1, 3)
        for letter in "qkv"
    )
    theta = 1e4 if bug == "rope_theta" else config.rope_parameters["rope_theta"]
    q, k = _rotated(q, theta), _rotated(k, theta)
    k, v = (np.repeat(heads, groups, axis=1) for heads in (k, v))
    scores = q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(size + (4 if bug == "scale" else 0)))
    hidden = np.triu(np.ones((length, length), bool), 2 if bug == "causal_off_by_one" else 1)
    scores = np.where(hidden, np.float32(-np.inf), scores)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    context_BTC = (shares @ v).transpose(0, 2, 1, 3).reshape(batch, length, -1)
    told[f"{name}.o_proj:in"] = context_BTC
    return context_BTC @ weights[f"{name}.o_proj.weight"].T


def _feed_forward(weights: Mapping[str, Array], x_BTC: Array, name: str, bug: str, told: dict[str, Array]) -> Array:
    gate, up = (x_BTC @ weights[f"{name}.{which}_proj.weight"].T for which in ("gate", "up"))
    if bug == "gate_up_swapped":
        gate, up = up, gate
    inner = gate / (1 + np.exp(-gate)) * up
    told[f"{name}.down_proj:in"] = inner
    return inner @ weights[f"{name}.down_proj.weight"].T


def _norm(x_BTC: Array, weight: Array, eps: float) -> Array:
    return x_BTC / np.sqrt(np.mean(x_BTC**2, -1, keepdims=True) + np.float32(eps)) * weight


def _rotated(heads_BHTD: Array, theta: float) -> Array:
    """Each channel of the first half with its fellow of the second."""
    length, size = heads_BHTD.shape[-2:]
    angles = np.outer(np.arange(length), 1.0 / theta ** (np.arange(0, size, 2) / size))
    cos, sin = (np.tile(np.asarray(one(angles), np.float32), 2) for one in (np.cos, np.sin))
    first, second = np.split(heads_BHTD, 2, -1)
    return heads_BHTD * cos + np.concatenate([-second, first], -1) * sin
