"""What a model was fed, by the names of its forward's parameters: so another model can be fed the same."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from probe.capture.structure import input_tensors


def named_tensors(arguments: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """`input_ids` of a tensor, `past` and `past.1` of a tuple's two, `batch.ids` of a dict; in forward's order."""
    for name, value in arguments.items():
        for port, tensor in input_tensors((value,), {}):
            yield name + port.removeprefix("in"), tensor


def named_arguments(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What `module` was called with, by the names of its forward's parameters and in their order."""
    forward = getattr(module, "_orig_mod", module).forward  # torch.compile's own takes (*args, **kwargs)
    try:
        signature = inspect.signature(forward)
        bound = signature.bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # a forward without a readable signature
        return {**{f"args.{index}": value for index, value in enumerate(args)}, **kwargs}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            bound.update(bound.pop(parameter.name, {}))
    return bound
