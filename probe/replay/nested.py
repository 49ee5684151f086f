"""Tensors in what a torch call is given and returns, however deep in tuples, lists, dicts and slices."""

from collections.abc import Callable, Iterator
from typing import Any

import torch


def changes_its_input(name: str) -> bool:
    """Whether a torch function of this name writes into its first argument."""
    return (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE


_IN_PLACE = {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__"}


def makes_tensors(name: str, args: tuple[Any, ...], result: Any) -> bool:
    """Whether a torch call counts as one: it has a tensor for a result, or wrote into its first argument."""
    made = args[0] if changes_its_input(name) and args else result
    return name != "__set__" and any(True for _ in tensors_in(made))


def mapped(argument: Any, kinds: type | tuple[type, ...], change: Callable[[Any], Any]) -> Any:
    """`change` on everything of these kinds in nested tuples, lists, dicts and slices."""
    if isinstance(argument, kinds):
        return change(argument)
    if type(argument) in (tuple, list):
        return type(argument)(mapped(child, kinds, change) for child in argument)
    if type(argument) is dict:
        return {key: mapped(child, kinds, change) for key, child in argument.items()}
    if isinstance(argument, slice):
        return slice(*(mapped(child, kinds, change) for child in (argument.start, argument.stop, argument.step)))
    return argument


def tensors_in(value: Any) -> Iterator[tuple[tuple[Any, ...], torch.Tensor]]:
    """Every tensor in nested tuples, lists and dicts, with its path."""
    if isinstance(value, torch.Tensor):
        yield (), value
    elif isinstance(value, (tuple, list)):
        for index, child in enumerate(value):
            yield from (((index, *path), tensor) for path, tensor in tensors_in(child))
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from (((key, *path), tensor) for path, tensor in tensors_in(child))
