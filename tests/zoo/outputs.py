"""Outputs side by side, in fp32: what bugs do to them, and that without bugs a candidate has the reference's."""

import math

import torch
from torch import Tensor, nn

from tests.zoo.draw import Inputs


def relative(one: Tensor, other: Tensor) -> float:
    """||other - one|| / ||one||; infinite where a number is not finite or the shapes differ."""
    if one.numel() != other.numel() or not torch.isfinite(other).all():
        return math.inf
    return float(torch.linalg.vector_norm(other.reshape(one.shape) - one) / torch.linalg.vector_norm(one))


def of_tokens(reference: Tensor, clean: Tensor, inputs: Inputs) -> Tensor:
    """Without the padding's rows, where the candidate drops them."""
    mask = inputs.get("attention_mask")
    return reference if mask is None or reference.numel() == clean.numel() else reference[mask.bool()]


def final(model: nn.Module, inputs: Inputs) -> Tensor:
    with torch.no_grad():
        output = model(**inputs)
    output = getattr(output, "logits", getattr(output, "last_hidden_state", output))
    output = output[0] if isinstance(output, tuple) else output
    return output.double()
