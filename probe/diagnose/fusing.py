"""Element-wise steps in float32, rounded where they end: as a kernel that does several of them at once computes."""

from collections.abc import Callable
from typing import Any

import torch

from probe.diagnose.values import ADD, DIVIDE, MULTIPLY, SUBTRACT
from probe.replay.nested import mapped
from probe.replay.program import Call, Edit, Program, Result

ELEMENTWISE = (
    MULTIPLY
    | ADD
    | DIVIDE
    | SUBTRACT
    | {"tanh", "tanh_", "sigmoid", "exp", "erf", "neg", "__neg__", "abs", "sqrt", "rsqrt", "square", "pow", "__pow__"}
    | {"gelu", "silu", "relu", "softplus", "clamp", "where", "masked_fill", "masked_fill_", "__rsub__", "reciprocal"}
)
LAYOUT = (
    {"view", "reshape", "transpose", "permute", "contiguous", "__getitem__", "flatten", "unflatten", "clone", "dropout"}
    | {"cat", "concat", "stack", "chunk", "split", "unbind", "expand", "repeat_interleave", "squeeze", "unsqueeze"}
    | {"roll", "flip", "tile", "repeat", "movedim", "swapaxes", "narrow", "expand_as", "view_as", "detach"}
)


def fused(program: Program, narrow: torch.dtype) -> dict[Call, Edit]:
    """Nothing where no step of the narrow dtype follows another."""
    several = {id(v.call) for call in program.calls for v in call.inputs if isinstance(v, Result) and v.path}
    single = [call for call in program.calls if call.name in ELEMENTWISE and id(call) not in several]
    steps = {id(call) for call in single if program.value(Result(call)).dtype == narrow}
    if not any(_follows(call, steps) for call in program.calls if id(call) in steps):
        return {}
    edits: dict[Call, Edit] = {}
    for call in program.calls:
        if id(call) in steps:
            edits[call] = _widening
        elif call.name not in LAYOUT and call.inputs:
            edits[call] = _restoring(tuple(program.value(value).dtype for value in call.inputs))
    return edits


def _follows(call: Call, steps: set[int]) -> bool:
    """Whether the call uses what another step returned, with nothing but layout in between."""
    values = [value for value in call.inputs if isinstance(value, Result)]
    while values:
        made = values.pop().call
        if id(made) in steps:
            return True
        if made.name in LAYOUT:
            values += [value for value in made.inputs if isinstance(value, Result)]
    return False


def _widening(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*mapped(args, torch.Tensor, _wide), **mapped(kwargs, torch.Tensor, _wide))


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


def _restoring(dtypes: tuple[torch.dtype, ...]) -> Edit:
    """Arguments as wide as they are in the reference."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kinds = iter(dtypes)

        def back(tensor: torch.Tensor) -> torch.Tensor:
            kind = next(kinds)
            return tensor.to(kind) if tensor.dtype == torch.float32 else tensor

        given = mapped(args, torch.Tensor, back)
        returned = function(*given, **mapped(kwargs, torch.Tensor, back))
        return given[0] if returned is None else returned

    return edit
