"""Embeddings: their scale, its rounding, tables that were never loaded."""

import torch
from torch import Tensor

from tests.zoo.bug import Bug, Site
from tests.zoo.plants import change_weight, set_attribute

GEMMAS = ("gemma", "gemma2", "gemma3")
UNTIED = ("llama", "mistral", "qwen2", "qwen3", "phi3", "mixtral", "gpt-neox")
TIED = (*GEMMAS, "gpt2", "whisper-decoder")
LEARNED = ("gpt2", "bert", "whisper-decoder")
"""Have learned positions."""
UNEVEN = {"hidden_size": 96, "intermediate_size": 240, "num_attention_heads": 4, "num_key_value_heads": 2}
"""A width whose root is no bfloat16."""


def fresh(weight: Tensor, site: Site) -> Tensor:
    noise = torch.randn(weight.shape, generator=site.generator)
    return weight.std() * noise.to(weight.dtype)


def rounded(scale: Tensor) -> Tensor:
    return scale.to(torch.bfloat16).to(scale.dtype)


BUGS = [
    Bug(
        "embedding scale left out",
        "embed.scale",
        GEMMAS,
        ("embed", "model"),
        code=set_attribute("embed", "embed_scale", torch.ones_like),
        scope="model",
    ),
    Bug(
        "embedding multiplier left out",
        "embed.scale",
        ("granite",),
        ("embed", "model"),
        code=set_attribute("model", "embedding_multiplier", 1.0),
        scope="model",
    ),
    Bug(
        "embedding scale rounded",
        "embed.rounding",
        GEMMAS,
        ("embed", "model"),
        code=set_attribute("embed", "embed_scale", rounded),
        scope="model",
        config=UNEVEN,
        dtypes=("fp32",),
    ),
    Bug(
        "embedding never loaded",
        "embed.missing_weight",
        UNTIED,
        ("embed", "model"),
        weights=change_weight("embed", fresh),
        scope="model",
        also=("linear.weight_missing",),
    ),
    Bug(
        "positions never loaded",
        "embed.missing_weight",
        LEARNED,
        ("position", "embeddings", "model"),
        weights=change_weight("position", torch.zeros_like),
        scope="model",
        also=("linear.weight_missing",),
    ),
    Bug(
        "token types never loaded",
        "embed.missing_weight",
        ("bert",),
        ("token_type", "embeddings", "model"),
        weights=change_weight("token_type", torch.zeros_like),
        scope="model",
        also=("linear.weight_missing",),
    ),
]
