"""Attention's core in a program: the product of queries and keys, what is done to it, softmax, and the product with v.

It is found by its calls, whatever the model's classes are called.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from probe.diagnose.axes import Axes, Change, is_product
from probe.diagnose.operands import Operand, queries_and_keys, values_of
from probe.replay.program import Call, Edit, Leaf, Program, Result, Value


@dataclass(frozen=True)
class Core:
    """softmax(f(query key^T)) value. Scores are (..., T, S): T tokens ask, S are asked."""

    program: Program
    product: Call
    query: Operand
    key: Operand
    path: tuple[Call, ...]
    """From the product to softmax, without them: scale, cap, mask, sinks."""
    softmax: Call
    mix: Call | None
    """The product with values; None where the program ends before."""
    values: Operand | None
    mixed: Axes | None
    """Of what the mix returns."""

    @property
    def module(self) -> str:
        return self.softmax.module

    def of(self, value: Value) -> torch.Tensor:
        return self.program.value(value)


def cores(program: Program) -> Iterator[Core]:
    """One a softmax that has a product before it."""
    consumers: dict[int, list[Call]] = {}
    for call in program.calls:
        for value in call.inputs:
            if isinstance(value, Result):
                consumers.setdefault(id(value.call), []).append(call)
    for softmax in program.calls:
        if softmax.name != "softmax" or not softmax.inputs or not _over_last(softmax, program):
            continue
        path = _back(softmax)
        if path and (operands := queries_and_keys(program, path[0])):
            mix = _forward(softmax, consumers)
            values, mixed = values_of(program, mix, softmax) if mix else (None, None)
            yield Core(program, path[0], *operands, path[1:], softmax, mix if values else None, values, mixed)


def turned(core: Core, query: Change | None = None, key: Change | None = None) -> Edit:
    """An edit of the product: queries and keys as `Axes.changed` hands them out, changed before they are multiplied."""

    both = (core.query, query), (core.key, key)
    changes = [(operand.position, operand.axes, change) for operand, change in both if change is not None]

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = list(args)
        for position, axes, change in changes:
            given[position] = axes.changed(given[position], change)
        return function(*given, **kwargs)

    return edit


def _over_last(softmax: Call, program: Program) -> bool:
    dim = softmax.kwargs.get("dim", softmax.args[1] if len(softmax.args) > 1 else None)
    return dim in (-1, program.value(softmax.inputs[0]).dim() - 1)


def _back(softmax: Call) -> tuple[Call, ...]:
    """From the nearest product to softmax's input, both included; first arguments first."""
    seen: set[int] = set()
    stack: list[tuple[Value, tuple[Call, ...]]] = [(softmax.inputs[0], ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, Leaf) or id(value.call) in seen:
            continue
        seen.add(id(value.call))
        path = (value.call, *path)
        if is_product(value.call):
            return path
        if value.call.name not in ("softmax", "linear"):
            stack += [(inner, path) for inner in reversed(value.call.inputs)]
    return ()


def _forward(softmax: Call, consumers: dict[int, list[Call]]) -> Call | None:
    """The product that softmax's result goes into."""
    queue = list(consumers.get(id(softmax), ()))
    while queue:
        call = queue.pop(0)
        if is_product(call):
            return call
        if call.name not in ("softmax", "linear"):
            queue += consumers.get(id(call), ())
    return None
