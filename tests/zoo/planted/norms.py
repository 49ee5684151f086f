"""Norms: 1 + w, swapped, never loaded, left out, in another order, of another kind."""

import torch
from torch import Tensor

from tests.zoo.bug import Bug
from tests.zoo.plants import change_weight, from_another_layer, swap_weights, wrap

PLAIN = ("llama", "mistral", "qwen2", "qwen3", "granite", "phi3", "mixtral", "qwen3-moe", "qwen2-moe", "gpt-oss")
OFFSET = ("gemma", "gemma2", "gemma3")
LAYER_NORM = ("gpt2", "gpt-neox", "bert", "vit", "whisper-encoder", "whisper-decoder")
FOUR = ("gemma2", "gemma3")
QK = ("qwen3", "qwen3-moe", "gemma3")


def mean_subtracted(forward, module, x: Tensor) -> Tensor:
    return forward(x - x.mean(-1, keepdim=True))


def root_mean_square(forward, module, x: Tensor) -> Tensor:
    """The norm without its mean taken off."""
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + module.eps)
    return (scaled * module.weight.float() + module.bias.float()).to(x.dtype)


BUGS = [
    Bug(
        "1 is not added",
        "norm.weight_offset",
        OFFSET,
        ("attn_norm",),
        weights=change_weight("attn_norm", lambda w: w - 1),
    ),
    Bug(
        "1 is added twice",
        "norm.weight_offset",
        OFFSET,
        ("mlp_norm",),
        weights=change_weight("mlp_norm", lambda w: w + 1),
    ),
    Bug(
        "1 is added to a plain norm",
        "norm.weight_offset",
        PLAIN,
        ("mlp_norm",),
        weights=change_weight("mlp_norm", lambda w: w + 1),
    ),
    Bug(
        "norms swapped",
        "norm.weight_swapped",
        (*PLAIN, *OFFSET),
        ("attn_norm", "mlp_norm"),
        weights=swap_weights("attn_norm", "mlp_norm"),
    ),
    Bug(
        "query and key norm swapped",
        "norm.weight_swapped",
        QK,
        ("q_norm", "k_norm"),
        weights=swap_weights("q_norm", "k_norm"),
    ),
    Bug(
        "another layer's norm",
        "norm.weight_swapped",
        (*PLAIN, *OFFSET, *LAYER_NORM),
        ("mlp_norm",),
        weights=from_another_layer("mlp_norm"),
        scope="layer",
    ),
    Bug(
        "norm never loaded",
        "norm.weight_missing",
        (*PLAIN, *LAYER_NORM),
        ("mlp_norm",),
        weights=change_weight("mlp_norm", torch.ones_like),
    ),
    Bug(
        "Gemma's norm never loaded",
        "norm.weight_missing",
        OFFSET,
        ("attn_norm",),
        weights=change_weight("attn_norm", torch.zeros_like),
    ),
    Bug(
        "final norm never loaded",
        "norm.weight_missing",
        PLAIN,
        ("final_norm",),
        weights=change_weight("final_norm", torch.ones_like),
        scope="model",
    ),
    Bug(
        "norm's shift never loaded",
        "norm.weight_missing",
        LAYER_NORM,
        ("attn_norm",),
        weights=change_weight("attn_norm", torch.zeros_like, "bias"),
        also=("linear.bias_missing",),
    ),
    Bug(
        "query norm left out", "norm.missing", QK, ("q_norm", "attn"), code=wrap("q_norm", lambda forward, module, x: x)
    ),
    Bug(
        "norm after attention left out",
        "norm.missing",
        FOUR,
        ("post_attn_norm", "layer"),
        code=wrap("post_attn_norm", lambda forward, module, x: x),
    ),
    Bug(
        "final norm left out",
        "norm.missing",
        PLAIN,
        ("final_norm", "model"),
        code=wrap("final_norm", lambda forward, module, x: x),
        scope="model",
    ),
    Bug("mean subtracted", "norm.kind", (*PLAIN, *OFFSET), ("mlp_norm",), code=wrap("mlp_norm", mean_subtracted)),
    Bug("mean not subtracted", "norm.kind", LAYER_NORM, ("mlp_norm",), code=wrap("mlp_norm", root_mean_square)),
]
