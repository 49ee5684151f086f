"""Small changes of one call."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from probe.replay.nested import tensors_in
from probe.replay.program import Call, Edit, Leaf, Program, Result, Value


def constant(argument: int | str, value: Any) -> Edit:
    """The call with another value for one argument: a position, or a keyword."""

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(argument, int):
            return function(*args[:argument], value, *args[argument + 1 :], **kwargs)
        return function(*args, **{**kwargs, argument: value})

    return edit


def result(change: Callable[[Any], Any]) -> Edit:
    """The call's result, changed."""
    return lambda function, args, kwargs: change(function(*args, **kwargs))


def only(position: int) -> Edit:
    """One of the call's arguments in the place of its result."""
    return lambda function, args, kwargs: args[position]


def instead_of_constant(call: Call, value: float) -> Edit:
    """The call with another number in the place of the one that `constant_of` finds; rounded as the call rounds."""
    return constant(next(place for place, given in enumerate(call.args) if _is_number(given)), value)


def operand(call: Call) -> Edit:
    """The tensor that a call is given first in the place of its result."""
    values = (Leaf, Result)
    return only(next(n for n, given in enumerate(call.args) if isinstance(given, values) and not _is_number(given)))


def _is_number(given: Any) -> bool:
    if isinstance(given, Leaf):
        return given.tensor.numel() == 1 and given.tensor.dtype != torch.bool
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def taking(call: Call, value: Value, change: Callable[[torch.Tensor], torch.Tensor]) -> Edit:
    """The call with `value` among its arguments, in lists too, changed."""

    def changed(argument: Any, given: Any) -> Any:
        if isinstance(argument, (Leaf, Result)) and is_same(argument, value):
            return change(given)
        if type(argument) in (tuple, list):
            return type(given)(changed(one, other) for one, other in zip(argument, given, strict=True))
        return given

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        taken = tuple(changed(one, given) for one, given in zip(call.args, args, strict=True))
        return function(*taken, **{key: changed(call.kwargs.get(key), given) for key, given in kwargs.items()})

    return edit


def recomputed(
    program: Program, target: Result, sources: Sequence[Value], compute: Callable[..., torch.Tensor]
) -> dict[Call, Edit]:
    """A call's result computed anew from earlier values: `compute(now, *sources)`.

    Each source is noted where it is first used as an argument, so that this works wherever the calls are made again.
    """
    noted: list[torch.Tensor | None] = [None] * len(sources)
    edits: dict[Call, Edit] = {}

    def noting(places: Sequence[tuple[int, int]]) -> Edit:
        def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given = [tensor for _, tensor in tensors_in((args, kwargs))]
            for source, position in places:
                noted[source] = given[position].clone()
            return function(*args, **kwargs)

        return edit

    wanted: dict[Call, list[tuple[int, int]]] = {}
    for index, source in enumerate(sources):
        user = next(call for call in program.calls if any(is_same(source, value) for value in call.inputs))
        position = next(n for n, value in enumerate(user.inputs) if is_same(source, value))
        wanted.setdefault(user, []).append((index, position))
    for call, places in wanted.items():
        edits[call] = noting(places)

    def answer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = edits_before(function, args, kwargs) if edits_before else function(*args, **kwargs)
        return with_value(before, target.path, lambda now: compute(now, *noted))

    edits_before = edits.get(target.call)
    return {**edits, target.call: answer}


def is_same(one: Value, other: Value) -> bool:
    """Results are written down anew each time a tensor is met, so they are compared by their call and path."""
    if isinstance(one, Leaf) or isinstance(other, Leaf):
        return one is other
    return one.call is other.call and one.path == other.path


def with_value(returned: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """What a call returned, changed at one place."""
    if not path:
        return change(returned)
    parts = list(returned)
    parts[path[0]] = with_value(parts[path[0]], path[1:], change)
    return tuple(parts)


def constant_of(call: Call, program: Program | None = None) -> float | None:
    """The number that a call combines a tensor with: written in the code, or a tensor of one element.

    With the program, a number that was computed too: a buffer that was cast, for one.
    """
    numbers = [value for value in call.args if isinstance(value, (int, float)) and not isinstance(value, bool)]
    tensors = [value.tensor for value in call.inputs if isinstance(value, Leaf)]
    if program is not None:
        tensors = [program.value(value) for value in call.inputs]
    numbers += [float(tensor) for tensor in tensors if tensor.numel() == 1 and tensor.dtype != torch.bool]
    return float(numbers[0]) if len(numbers) == 1 else None
