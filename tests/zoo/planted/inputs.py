"""What goes in: tokens, positions, masks."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug
from tests.zoo.draw import Inputs
from tests.zoo.planted.embeddings import LEARNED, TIED, UNTIED
from tests.zoo.plants import change_weight, wrap


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
]
