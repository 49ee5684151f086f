"""Activations in a program, known by their values: one torch call, or a formula written out."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from probe.replay.program import Call, Leaf, Program, Result, Value

DEEPEST = 12
"""Calls that a formula may take; tanh's GELU takes eight."""
SAME = 1e-6
"""Relative: tanh's and erf's GELU are 2e-4 apart, float32 in between leaves 1e-7."""


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "GELU (erf)": F.gelu,
    "GELU (tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "quick GELU, x sigmoid(1.702 x)": _quick_gelu,
    "SiLU": F.silu,
    "ReLU": F.relu,
    "squared ReLU": lambda x: F.relu(x).square(),
    "leaky ReLU": F.leaky_relu,
    "ELU": F.elu,
    "softplus": F.softplus,
    "Mish": F.mish,
    "hard swish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
WHOLE = {"gelu", "silu", "relu", "relu_", "leaky_relu", "elu", "softplus", "mish", "hardswish", "sigmoid", "tanh"}
LAST = {*WHOLE, "mul", "__mul__", "__rmul__", "mul_", "square", "pow", "__pow__", "clamp", "div", "__truediv__"}
"""Calls that an activation may end with."""


@dataclass(frozen=True)
class Activation:
    """result = ACTIVATIONS[name](x), element by element."""

    name: str
    x: Value
    result: Result
    calls: tuple[Call, ...]


def activations(program: Program) -> list[Activation]:
    """The widest of those that lie within each other: SiLU, not the sigmoid in it."""
    found = [one for call in program.calls if call.name in LAST for one in _ending_with(program, call)]
    inner = {id(call) for one in found for call in one.calls[:-1]}
    return [one for one in found if id(one.calls[-1]) not in inner]


def _ending_with(program: Program, last: Call) -> Iterator[Activation]:
    result = Result(last)
    value = program.value(result)
    if not value.is_floating_point():
        return
    for x, calls in _sources(last):
        given = program.value(x)
        if given.shape == value.shape and given.is_floating_point():
            name = _name(given, value)
            if name is not None:
                yield Activation(name, x, result, calls)
                return


def _sources(last: Call) -> Iterator[tuple[Value, tuple[Call, ...]]]:
    """Values of which alone the call's result is made, and the calls in between; the nearest first."""
    calls: list[Call] = [last]
    while len(calls) <= DEEPEST:
        inside = {id(call) for call in calls}
        open_values = {_key(v): v for call in calls for v in call.inputs if not _is_inside(v, inside)}
        values = [value for value in open_values.values() if not _is_number(value)]
        if len(values) == 1:
            yield values[0], tuple(reversed(calls))
        made = [value for value in values if isinstance(value, Result)]
        if not made:
            return
        calls.append(_latest(made).call)


def _latest(values: list[Result]) -> Result:
    """The one that no other is made of: where one value is used twice, the formula that uses it first is taken in."""
    return max(values, key=lambda value: _depth(value))


def _depth(value: Value, limit: int = DEEPEST) -> int:
    if isinstance(value, Leaf) or limit == 0:
        return 0
    return 1 + max((_depth(inner, limit - 1) for inner in value.call.inputs), default=0)


def _key(value: Value) -> tuple[Any, ...]:
    return (id(value),) if isinstance(value, Leaf) else (id(value.call), *value.path)


def _is_inside(value: Value, inside: set[int]) -> bool:
    return isinstance(value, Result) and id(value.call) in inside


def _is_number(value: Value) -> bool:
    return isinstance(value, Leaf) and value.tensor.numel() == 1


def _name(x: Tensor, y: Tensor) -> str | None:
    """The activation that makes y of x; None where x does not tell it from another."""
    with torch._C.DisableTorchFunction():  # float64 as it is: a replay's mode would look at every call
        some = torch.linspace(0, x.numel() - 1, min(x.numel(), 2000)).long()
        x, y = x.double().reshape(-1)[some], y.double().reshape(-1)[some]
        size = torch.linalg.vector_norm(y)
        if not 0 < size < math.inf:
            return None
        names = [n for n, f in ACTIVATIONS.items() if torch.linalg.vector_norm(f(x) - y) <= SAME * size]
        return names[0] if len(names) == 1 else None
