"""The tensors inside what a module is given and returns, each with its port's name; and the same with others put in.

Containers are tuples, lists, dicts (transformers' ModelOutput is one) and dataclasses. Other objects (a KV cache) are
opaque: they are neither looked into nor changed.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

Replace = Callable[[str, torch.Tensor], torch.Tensor]
"""Given a port and the tensor there, the tensor to put in its place (or the same one)."""


def input_tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Ports `in`, `in.1`, ... of positional arguments, then `in.<keyword>`."""
    yield from _leaves("in", args)
    if kwargs:
        yield from _leaves("in", kwargs)


def output_tensors(output: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Port `out` of the tensor returned or the first of a tuple, `out.1` of its second, `out.<key>` of a dict."""
    yield from _leaves("out", output)


def replace_inputs(
    args: tuple[Any, ...], kwargs: dict[str, Any], replacement: Replace
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _replace("in", args, replacement), _replace("in", kwargs, replacement)


def replace_outputs(output: Any, replacement: Replace) -> Any:
    return _replace("out", output, replacement)


def _children(value: Any) -> list[tuple[Any, Any]] | None:
    """Keys and values of a container; None for anything else."""
    if isinstance(value, (tuple, list)):
        return list(enumerate(value))
    if isinstance(value, Mapping):
        return list(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    return None


def _ported(port: str, children: list[tuple[Any, Any]]) -> Iterator[tuple[str, Any, Any]]:
    """Each child with its port.

    The first of a tuple at the top is `out` itself: one name, whether a module returns one tensor or several. Not so
    where it is a container with others beside it: ((h, c), y) is `out.0.0`, `out.0.1`, `out.1`.
    """
    for key, child in children:
        alone = len(children) == 1 or _children(child) is None
        first = str(key) == "0" and "." not in port and alone
        yield (port if first else f"{port}.{key}"), key, child


def _leaves(port: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield port, value
    elif (children := _children(value)) is not None:
        for name, _, child in _ported(port, children):
            if child is not value:
                yield from _leaves(name, child)


def _replace(port: str, value: Any, replacement: Replace) -> Any:
    if isinstance(value, torch.Tensor):
        return replacement(port, value)
    children = _children(value)
    if children is None:
        return value
    replaced = [
        (key, child if child is value else _replace(name, child, replacement))
        for name, key, child in _ported(port, children)
    ]
    if all(new is child for (_, new), (_, child) in zip(replaced, children, strict=True)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(new for _, new in replaced))
    if isinstance(value, (tuple, list)):
        return type(value)(new for _, new in replaced)
    changed = copy.copy(value)
    for key, new in replaced:
        if isinstance(value, Mapping):
            changed[key] = new
        else:
            object.__setattr__(changed, key, new)  # of a frozen dataclass too
    return changed
