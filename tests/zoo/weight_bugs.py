"""What goes wrong with weights alone: each plants itself into a model that else has the reference's weights.

Every change is made in the candidate's own dtype and by name; what a whole model's conversion may honestly do to its
weights is in HONEST.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

Change = Callable[[Tensor], Tensor]
Plant = Callable[[nn.Module], None]


@dataclass(frozen=True)
class Names:
    """Where one architecture has what is changed; {i} is the layer."""

    architecture: str
    norm: str
    other_norm: str
    square: str
    """A matrix with as many rows as columns."""
    oblong: str
    twin: str
    """Of the same shape as `square`, in the same layer."""
    bias: str | None


LLAMA = Names(
    "llama",
    "model.layers.{i}.input_layernorm.weight",
    "model.layers.{i}.post_attention_layernorm.weight",
    "model.layers.{i}.self_attn.q_proj.weight",
    "model.layers.{i}.mlp.up_proj.weight",
    "model.layers.{i}.self_attn.o_proj.weight",
    None,
)
GPT2 = Names(
    "gpt2",
    "transformer.h.{i}.ln_1.weight",
    "transformer.h.{i}.ln_2.weight",
    "transformer.h.{i}.attn.c_proj.weight",
    "transformer.h.{i}.mlp.c_fc.weight",
    "transformer.h.{i}.attn.c_proj.weight",
    "transformer.h.{i}.attn.c_attn.bias",
)
BERT = Names(
    "bert",
    "encoder.layer.{i}.attention.output.LayerNorm.weight",
    "encoder.layer.{i}.output.LayerNorm.weight",
    "encoder.layer.{i}.attention.self.query.weight",
    "encoder.layer.{i}.intermediate.dense.weight",
    "encoder.layer.{i}.attention.self.key.weight",
    "encoder.layer.{i}.attention.self.query.bias",
)
MODELS = (LLAMA, GPT2, BERT)


@dataclass(frozen=True)
class WeightBug:
    """One change, the weight that the audit must name, and as what."""

    name: str
    kind: str
    weight: str
    plant: Plant
    says: str = ""
    """Words that the message must have."""


@torch.no_grad()
def change(name: str, how: Change, model: nn.Module) -> None:
    weight = model.get_parameter(name)
    weight.copy_(how(weight.clone()))


@torch.no_grad()
def swap(first: str, second: str, model: nn.Module) -> None:
    weights = [model.get_parameter(name) for name in (first, second)]
    copies = [weight.clone() for weight in weights]
    weights[0].copy_(copies[1])
    weights[1].copy_(copies[0])


def fresh(weight: Tensor) -> Tensor:
    """As an initialization makes it."""
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
    return 0.02 * noise.to(weight.dtype)


def interleaved(head_dim: int, weight: Tensor) -> Tensor:
    """Half-split rows of each head as pairs: what llama.cpp's and Meta's rotary layout want."""
    rows = weight.reshape(-1, 2, head_dim // 2, *weight.shape[1:])
    return rows.transpose(1, 2).reshape(weight.shape)


def quantized(bits: int, weight: Tensor) -> Tensor:
    """Rounded to whole numbers of `bits` with one scale a row."""
    largest = 2 ** (bits - 1) - 1
    scale = weight.float().abs().amax(1, keepdim=True) / largest
    return ((weight.float() / scale).round() * scale).to(weight.dtype)


def bugs(names: Names, layer: int = 1, head_dim: int = 16) -> list[WeightBug]:
    """What must be found suspicious, in one layer of a model whose other layers are right."""
    norm, other_norm, square, oblong, twin = (
        name.replace("{i}", str(layer))
        for name in (names.norm, names.other_norm, names.square, names.oblong, names.twin)
    )
    next_layer = names.oblong.replace("{i}", str(layer + 1))
    found = [
        WeightBug("norm is ones", "never loaded", norm, partial(change, norm, torch.ones_like), "all 1"),
        WeightBug("norm is zeros", "never loaded", norm, partial(change, norm, torch.zeros_like), "all 0"),
        WeightBug("norm + 1", "inconsistent", norm, partial(change, norm, lambda w: w + 1), "plus 1"),
        WeightBug("norm times 2", "scaled", norm, partial(change, norm, lambda w: 2 * w), "times 2"),
        WeightBug("norms swapped", "swapped", norm, partial(swap, norm, other_norm), other_norm),
        WeightBug("matrix is random", "never loaded", oblong, partial(change, oblong, fresh), "none of the"),
        WeightBug("matrix is zeros", "never loaded", oblong, partial(change, oblong, torch.zeros_like), "all 0"),
        WeightBug("other layer's", "other layer's", oblong, partial(swap, oblong, next_layer), next_layer),
        WeightBug("scaled", "scaled", oblong, partial(change, oblong, lambda w: w * 0.125), "times 0.125"),
        WeightBug("transposed", "inconsistent", square, partial(change, square, lambda w: w.T), "transposed"),
        WeightBug("rows rolled", "inconsistent", oblong, partial(change, oblong, lambda w: w.roll(3, 0)), "order"),
        WeightBug("half is missing", "partly loaded", oblong, partial(change, oblong, _half), "of its rows are there"),
        WeightBug(
            "rows of the other rotary layout",
            "inconsistent",
            square,
            partial(change, square, partial(interleaved, head_dim)),
            f"each head's {head_dim} rows from half-split to interleaved",
        ),
    ]
    if twin != square:
        found.append(WeightBug("matrices swapped", "swapped", square, partial(swap, square, twin), twin))
    if names.bias:
        bias = names.bias.replace("{i}", str(layer))
        found.append(WeightBug("bias is zeros", "never loaded", bias, partial(change, bias, torch.zeros_like), "all 0"))
    return found


@torch.no_grad()
def _half(weight: Tensor) -> Tensor:
    kept = weight.clone()
    kept[len(kept) // 2 :] = fresh(kept[len(kept) // 2 :])
    return kept
