"""Weights that do not hide bugs.

Default initialisation does: norms are all ones, logits tiny. Here norm weights vary, and matrices keep the size of
what they multiply.
"""

import math

import torch
from torch import nn


@torch.no_grad()
def fill(model: nn.Module, generator: torch.Generator, *, offset_norms: bool) -> None:
    """Norms vary around what leaves the scale alone: 1, or 0 where the model adds 1 to them."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_norm = parameter.dim() == 1 and name.endswith("weight")
        if is_norm:
            parameter.copy_((0.0 if offset_norms else 1.0) + 0.2 * noise)
        elif parameter.dim() == 1:
            parameter.copy_(0.1 * noise)
        else:
            parameter.copy_(noise / math.sqrt(parameter[0].numel()))
