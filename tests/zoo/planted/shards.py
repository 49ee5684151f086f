"""Quantization gone wrong, and shards that were not put together again."""

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug
from tests.zoo.planted.linears import LLAMAS
from tests.zoo.planted.norms import LAYER_NORM
from tests.zoo.plants import change_weight, wrap
from tests.zoo.weight_bugs import quantized

ROWS = tuple(view for view in (*LLAMAS, *LAYER_NORM) if view != "gpt2")
"""Views whose matrices are [out, in]."""


def scales(weight: Tensor, bits: int = 8) -> Tensor:
    """One a row."""
    return weight.float().abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)


def scales_of_the_row_before(weight: Tensor) -> Tensor:
    scale = scales(weight)
    return ((weight / scale).round() * scale.roll(1, 0)).to(weight.dtype)


def scales_rounded_to_powers(weight: Tensor) -> Tensor:
    """Quantized with the exact scale, read with one of a power of two."""
    scale = scales(weight)
    return ((weight / scale).round() * torch.exp2(torch.log2(scale).round())).to(weight.dtype)


def one_scale_for_all(weight: Tensor) -> Tensor:
    """Quantized row by row, read with the first row's scale."""
    scale = scales(weight)
    return ((weight / scale).round() * scale[:1]).to(weight.dtype)


def clipped(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """Eight bits whose scale was calibrated on something smaller."""
    scale = 0.5 * x.float().abs().amax() / 127
    return forward(((x / scale).round().clamp(-127, 127) * scale).to(x.dtype))


def half_of_the_sum(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    """One rank's part."""
    half = x.shape[-1] // 2
    return forward(torch.cat([x[..., :half], torch.zeros_like(x[..., half:])], dim=-1))


def ranks_swapped(forward: Any, module: nn.Module, x: Tensor) -> Tensor:
    return forward(torch.cat(x.chunk(2, dim=-1)[::-1], dim=-1))


def columns_swapped(weight: Tensor) -> Tensor:
    return torch.cat(weight.chunk(2, dim=1)[::-1], dim=1)


BUGS = [
    Bug(
        "one matrix of three bits",
        "linear.quantized",
        ROWS,
        ("down",),
        weights=change_weight("down", lambda w: quantized(3, w)),
        scope="layer",
        also=("quant.scale", "quant.granularity"),
    ),
    Bug(
        "scales of the row before",
        "quant.scale",
        ROWS,
        ("down",),
        weights=change_weight("down", scales_of_the_row_before),
    ),
    Bug(
        "scales rounded to powers of two",
        "quant.scale",
        ROWS,
        ("up",),
        weights=change_weight("up", scales_rounded_to_powers),
    ),
    Bug(
        "one scale for all rows",
        "quant.granularity",
        ROWS,
        ("up",),
        weights=change_weight("up", one_scale_for_all),
        also=("quant.scale",),
    ),
    Bug("activations clipped", "quant.activation", ROWS, ("down", "mlp"), code=wrap("down", clipped)),
    Bug(
        "half of the sum",
        "shard.missing_reduce",
        (*LLAMAS, *LAYER_NORM, "phi3"),
        ("o", "attn"),
        code=wrap("o", half_of_the_sum),
    ),
    Bug(
        "half of the MLP's sum",
        "shard.missing_reduce",
        (*LLAMAS, *LAYER_NORM),
        ("down", "mlp"),
        code=wrap("down", half_of_the_sum),
    ),
    Bug(
        "ranks in the other order",
        "shard.order",
        (*LLAMAS, *LAYER_NORM),
        ("down", "mlp"),
        code=wrap("down", ranks_swapped),
        also=("linear.row_order",),
    ),
    Bug(
        "columns of the ranks swapped",
        "shard.order",
        ROWS,
        ("o",),
        weights=change_weight("o", columns_swapped),
        also=("linear.row_order", "attn.head_order"),
    ),
]
