"""Attention as its kernels compute it: scores in float32, and weights that are rounded before or after the division."""

from collections.abc import Callable
from typing import Any

import torch

from probe.diagnose.core import Core
from probe.diagnose.edits import only
from probe.diagnose.values import CASTS
from probe.replay.program import Call, Edit, Program, Result


def in_float32(program: Program, core: Core, narrow: torch.dtype) -> dict[Call, Edit]:
    """From the product of queries and keys, which are rounded, to the product with the values."""
    casts = {call: only(0) for call in _between(program, core) if call.name in CASTS}
    edits: dict[Call, Edit] = {**casts, core.product: _both_in(narrow)}
    return {**edits, core.mix: _wide} if core.mix is not None else edits


def with_rounded_weights(program: Program, core: Core, narrow: torch.dtype) -> dict[Call, Edit]:
    """The same, but weights are rounded for the product with the values."""
    edits = in_float32(program, core, narrow)
    return {**edits, core.mix: _both_in(narrow)} if core.mix is not None else edits


def divided_last(program: Program, core: Core, narrow: torch.dtype) -> dict[Call, Edit]:
    """The same, but what is rounded are the exponentials; their sum divides what the product with the values gives."""
    edits = in_float32(program, core, narrow)
    if core.mix is None:
        return edits
    sums: list[torch.Tensor] = []

    def exponentials(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        scores = args[0].float()
        raised = (scores - scores.amax(-1, keepdim=True)).exp()
        sums[:] = [raised.sum(-1, keepdim=True)]
        return raised

    def divided(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _both_in(narrow)(function, args, kwargs) / sums[0]

    return {**edits, core.softmax: exponentials, core.mix: divided}


def _between(program: Program, core: Core) -> list[Call]:
    """Calls that use what the product gives, up to the product with the values."""
    inside, found = {id(core.product)}, []
    for call in program.calls:
        if call is core.mix:
            break
        if any(isinstance(value, Result) and id(value.call) in inside for value in call.inputs):
            inside.add(id(call))
            found.append(call)
    return found


def _wide(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*(a.float() if isinstance(a, torch.Tensor) else a for a in args), **kwargs)


def _both_in(narrow: torch.dtype) -> Edit:
    """Factors that the narrow dtype has, their product in float32."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*(a.to(narrow).float() if isinstance(a, torch.Tensor) else a for a in args), **kwargs)

    return edit
