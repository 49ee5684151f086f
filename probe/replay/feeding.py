"""What the reference was fed, as its forward can be given it again."""

import inspect
from typing import Any

import torch
from torch import nn

from probe.capture.tensors import from_bits
from probe.dump import Dump
from probe.errors import ProbeError


def own_inputs(reference: Dump, step: int, model: nn.Module) -> dict[str, Any]:
    """What the reference was fed in a step, as it can be fed again."""
    return arguments(model, recorded_inputs(reference, step, model), None)


def arguments(model: nn.Module, recorded: dict[str, torch.Tensor], kind: torch.dtype | None) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        name: value.to(kind, copy=True) if value.is_floating_point() else value.clone()
        for name, value in recorded.items()
    }
    parameters = inspect.signature(model.forward).parameters
    if "use_cache" in parameters:
        inputs["use_cache"] = False
    if "start_pos" in parameters:  # a number, which is no tensor: all tokens are fed from the first on
        inputs.setdefault("start_pos", 0)
    return inputs


def recorded_inputs(reference: Dump, step: int, model: nn.Module) -> dict[str, torch.Tensor]:
    recorded = reference.inputs(step)
    if not recorded or any("." in name for name in recorded):
        raise ProbeError(
            f"{reference.path} does not hold what forward was given in step {step} in a form that can be given again",
            hint="compare without replay: --no-replay",
        )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return {name: from_bits(bits, dtype).to(device) for name, (bits, dtype) in recorded.items()}
