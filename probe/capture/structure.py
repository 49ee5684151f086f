"""The tensors inside what a module is given and returns, each with its port's name; and the same with others put in.

Containers are tuples, lists, dicts (transformers' ModelOutput is one) and dataclasses. Other objects (a KV cache) are
opaque: they are neither looked into nor changed.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

Replace = Callable[[str, torch.Tensor], torch.Tensor]
"""Given a port and the tensor there, the tensor to put in its place (or the same one)."""


def input_tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Ports `in`, `in.1`, ... of positional arguments, then `in.<keyword>`."""
    yield from _leaves("in", args)
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


def _children(value: Any) -> Iterator[tuple[str, Any]] | None:
    """Keys and values of a container; None for anything else."""
    if isinstance(value, Mapping):
        return ((str(key), child) for key, child in value.items())
    if isinstance(value, (tuple, list)):
        return ((str(index), child) for index, child in enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    return None


def _port(port: str, key: str) -> str:
    """The first of a tuple at the top is `out` itself: one name, whether a module returns one tensor or several."""
    return port if key == "0" and "." not in port else f"{port}.{key}"


def _leaves(port: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield port, value
    elif (children := _children(value)) is not None:
        for key, child in children:
            if child is not value:
                yield from _leaves(_port(port, key), child)


def _replace(port: str, value: Any, replacement: Replace) -> Any:
    if isinstance(value, torch.Tensor):
        return replacement(port, value)
    children = _children(value)
    if children is None:
        return value
    replaced = {key: _replace(_port(port, key), child, replacement) for key, child in children}
    if all(replaced[key] is child for key, child in _children(value) or ()):
        return value
    if isinstance(value, Mapping):
        changed = dict(zip(value, replaced.values(), strict=True))
        return changed if type(value) is dict else type(value)(**changed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*replaced.values())
    if isinstance(value, (tuple, list)):
        return type(value)(replaced.values())
    return dataclasses.replace(value, **replaced)
