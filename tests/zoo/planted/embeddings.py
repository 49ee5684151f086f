"""What goes in and what comes out: tokens, positions, masks, embeddings and the head."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug, Site
from tests.zoo.draw import Inputs
from tests.zoo.plants import change_output, change_weight, set_attribute, set_config, wrap

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


def head_of_its_own(site: Site) -> None:
    for name in site.names("head"):
        head = site.model.get_submodule(name)
        head.weight = nn.Parameter(fresh(head.weight.data, site), requires_grad=False)


def special_ids_zeroed(forward: Any, module: nn.Module, ids: Tensor) -> Tensor:
    """As multimodal models do with placeholders that have no row."""
    return forward(torch.where(ids >= 200, torch.zeros_like(ids), ids))


def one_later(forward: Any, module: nn.Module, positions: Tensor) -> Tensor:
    return forward(positions + 1)


def table_one_later(weight: Tensor) -> Tensor:
    return weight.roll(-1, 0)


def mask_dropped(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return forward(*args, **{**kwargs, "attention_mask": None})


def positions_counted(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Whatever positions it is given, from 0 on."""
    return forward(*args, **{**kwargs, "position_ids": None})


def left_padded_with_positions(inputs: Inputs, generator: torch.Generator) -> Inputs:
    ids = inputs["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, : ids.shape[1] // 3] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask, "position_ids": positions}


def rounded(scale: Tensor) -> Tensor:
    return scale.to(torch.bfloat16).to(scale.dtype)


def logits(change: Any) -> Any:
    def wrapper(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits = change(output.logits)
        return output

    return wrap("top", wrapper)


BUGS = [
    Bug(
        "special ids zeroed",
        "input.tokens",
        (*UNTIED, *TIED),
        ("embed", "model"),
        code=wrap("embed", special_ids_zeroed),
        scope="model",
    ),
    Bug(
        "positions one later",
        "input.positions",
        ("gpt2", "bert"),
        ("position", "embeddings", "model"),
        code=wrap("position", one_later),
        scope="model",
    ),
    Bug(
        "table of positions one later",
        "input.positions",
        LEARNED,
        ("position", "embeddings", "model"),
        weights=change_weight("position", table_one_later),
        scope="model",
        also=("linear.row_order",),
    ),
    Bug(
        "positions counted through padding",
        "input.positions",
        ("gpt2",),
        ("position", "embeddings", "model"),
        code=wrap("model", positions_counted),
        scope="model",
        fed=left_padded_with_positions,
    ),
    Bug(
        "mask lost on the way in",
        "input.mask",
        ("bert",),
        ("top", "attn"),
        code=wrap("top", mask_dropped),
        scope="model",
        also=("attn.padding_mask",),
    ),
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
    Bug(
        "tied head never tied",
        "head.untied",
        TIED,
        ("head", "top"),
        code=head_of_its_own,
        scope="model",
        also=("linear.weight_missing",),
    ),
    Bug(
        "head never loaded",
        "linear.weight_missing",
        UNTIED,
        ("head", "top"),
        weights=change_weight("head", fresh),
        scope="model",
        also=("head.untied",),
    ),
    Bug(
        "softcap of logits off",
        "head.softcap",
        ("gemma2",),
        ("top", "head"),
        code=set_config("final_logit_softcapping", None),
        scope="model",
    ),
    Bug(
        "softcap of logits x tanh(x / c)",
        "head.softcap",
        ("gemma2",),
        ("top", "head"),
        code=logits(
            lambda capped: (x := 30 * torch.atanh((capped.float() / 30).clamp(-0.9999, 0.9999))) * torch.tanh(x / 30)
        ),
        scope="model",
        dtypes=("fp32",),
    ),
    Bug(
        "logits not scaled",
        "head.scale",
        ("granite",),
        ("top", "head"),
        code=set_config("logits_scaling", 1.0),
        scope="model",
    ),
    Bug(
        "logits scaled",
        "head.scale",
        UNTIED,
        ("top", "head"),
        code=change_output("head", lambda x: x * 0.125),
        scope="model",
    ),
]
