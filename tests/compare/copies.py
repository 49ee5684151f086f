"""A model and a copy of it to be changed, under its own names."""

import torch
from torch import nn

from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=64, layers=3, heads=4, tokens=19)


def two(name: str = "llama", seed: int = 0) -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    """A reference, a copy of it to be changed, and what both are fed."""
    return build(name, SIZE, seed), build(name, SIZE, seed), inputs(name, SIZE, seed)
