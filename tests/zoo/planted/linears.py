"""Matrices: never loaded, transposed, swapped, in another order of rows, without their bias."""

import torch
from torch import Tensor

from tests.zoo.bug import Bug, Site
from tests.zoo.planted.norms import LAYER_NORM
from tests.zoo.plants import change_weight, from_another_layer, swap_weights

LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "granite", "gemma", "gemma2", "gemma3")
SQUARE_O = (
    "llama",
    "mistral",
    "qwen2",
    "granite",
    "phi3",
    "mixtral",
    "gpt2",
    "gpt-neox",
    "bert",
    "vit",
    "whisper-decoder",
)
BIASED = ("gpt2", "gpt-neox", "bert", "vit", "whisper-encoder", "whisper-decoder")


def fresh(weight: Tensor, site: Site) -> Tensor:
    """As an initialization makes it."""
    return 0.02 * torch.randn(weight.shape, generator=site.generator).to(weight.dtype)


BUGS = [
    Bug(
        "matrix never loaded",
        "linear.weight_missing",
        (*LLAMAS, *LAYER_NORM, "phi3"),
        ("down",),
        weights=change_weight("down", fresh),
        scope="layer",
    ),
    Bug(
        "matrix of zeros",
        "linear.weight_missing",
        (*LLAMAS, *LAYER_NORM),
        ("up",),
        weights=change_weight("up", torch.zeros_like),
        scope="layer",
    ),
    Bug(
        "square matrix transposed",
        "linear.weight_transposed",
        SQUARE_O,
        ("o",),
        weights=change_weight("o", lambda w: w.T),
    ),
    Bug("keys and values swapped", "linear.weight_swapped", LLAMAS, ("k", "v", "attn"), weights=swap_weights("k", "v")),
    Bug(
        "another layer's matrix",
        "linear.weight_swapped",
        (*LLAMAS, *LAYER_NORM),
        ("down",),
        weights=from_another_layer("down"),
        scope="layer",
    ),
    Bug(
        "rows rolled",
        "linear.row_order",
        (*LLAMAS, *LAYER_NORM),
        ("up", "down", "mlp"),
        weights=change_weight("up", lambda w: w.roll(3, 0)),
        scope="layer",
    ),
    Bug(
        "query's bias dropped",
        "linear.bias_missing",
        ("qwen2", "qwen2-moe", "gpt-oss", "bert", "vit", "whisper-encoder"),
        ("q",),
        weights=change_weight("q", torch.zeros_like, "bias"),
    ),
    Bug(
        "bias dropped",
        "linear.bias_missing",
        BIASED,
        ("down",),
        weights=change_weight("down", torch.zeros_like, "bias"),
    ),
]
