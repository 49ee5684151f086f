"""Feed-forward layers: another activation, gate and up exchanged."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.zoo.bug import Bug, Plant, Site
from tests.zoo.planted.linears import LLAMAS
from tests.zoo.plants import change_weight, swap_weights

SILU = ("llama", "mistral", "qwen2", "qwen3", "granite", "phi3")
TANH = ("gemma", "gemma2", "gemma3", "gpt2")
ERF = ("gpt-neox", "bert", "vit", "whisper-encoder", "whisper-decoder")


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def activation(make: Callable[[], nn.Module]) -> Plant:
    def plant(site: Site) -> None:
        for name in site.names("act"):
            parent, _, own = name.rpartition(".")
            setattr(site.model.get_submodule(parent), own, make())

    return plant


def halves_swapped(weight: Tensor) -> Tensor:
    return torch.cat(weight.chunk(2)[::-1])


AT = ("act", "mlp")
BUGS = [
    Bug("GELU by erf for tanh", "mlp.activation", TANH, AT, code=activation(nn.GELU)),
    Bug("GELU by tanh for erf", "mlp.activation", ERF, AT, code=activation(lambda: nn.GELU("tanh"))),
    Bug("SiLU for GELU", "mlp.activation", ("gemma", "gemma2", "gemma3", "gpt2", "bert"), AT, code=activation(nn.SiLU)),
    Bug("GELU for SiLU", "mlp.activation", SILU, AT, code=activation(nn.GELU)),
    Bug("quick GELU", "mlp.activation", (*TANH, *ERF), AT, code=activation(QuickGELU)),
    Bug("ReLU", "mlp.activation", (*SILU, *ERF), AT, code=activation(nn.ReLU)),
    Bug(
        "gate and up swapped",
        "mlp.gate_up_swapped",
        LLAMAS,
        ("gate", "up", "mlp"),
        weights=swap_weights("gate", "up"),
        also=("linear.weight_swapped",),
    ),
    Bug(
        "halves of gate_up swapped",
        "mlp.gate_up_swapped",
        ("phi3",),
        ("gate_up", "mlp"),
        weights=change_weight("gate_up", halves_swapped),
        also=("linear.row_order",),
    ),
]
