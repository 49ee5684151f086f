"""What a graph is fed, by its inputs' names; what nobody gave is made where only one thing can be meant.

B sentences of T tokens.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from probe.errors import ProbeError
from probe.targets.onnx.graph import Array, Fed, Graph

MADE = (("mask", "all ones", 1), ("position", "0, 1, 2, ...", None), ("token_type", "all zeros", 0))
"""Parts of names, what is made for them in words, and the number; None: positions."""


def complete(
    graph_inputs: Sequence[Fed], given: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], str, list[str]]:
    """Of all tokens, by the graph's names; the name of the first of `given`, the token ids; and notes on what was made
    or left out. ProbeError where an input is nobody's."""
    main, *_ = given
    taking = _taking(graph_inputs, given, main)
    names = {one.name: main if one is taking else one.name for one in graph_inputs}
    found: dict[str, torch.Tensor] = {}
    notes: list[str] = []
    for one in sorted(graph_inputs, key=lambda one: names[one.name] != main):
        if names[one.name] in given:
            found[one.name] = given[names[one.name]]
            continue
        found[one.name], made = _made(one, given, main)
        notes.append(f"the graph also takes {one.name}, which nobody gave: {made}")
    left = [name for name in given if name not in names.values()]
    notes += [f"{name} was not passed on: the graph has no such input" for name in left]
    if main in left:
        takes = ", ".join(one.name for one in graph_inputs)
        raise ProbeError(f"the graph takes {takes}, and {main} is none of them", hint="give --inputs of a run like it")
    return found, taking.name if taking else main, notes


def _taking(graph_inputs: Sequence[Fed], given: Mapping[str, torch.Tensor], main: str) -> Fed | None:
    """The input that takes the first of `given`: of that name, else the first that takes numbers of its kind."""
    same = next((one for one in graph_inputs if one.name == main), None)
    kinds = "f" if given[main].is_floating_point() else "iu"
    free = [one for one in graph_inputs if one.name not in given and not any(word in one.name for word, _, _ in MADE)]
    return same or next((one for one in free if one.dtype.kind in kinds), None)


def _made(one: Fed, given: Mapping[str, torch.Tensor], main: str) -> tuple[torch.Tensor, str]:
    shape = given[main].shape
    for word, told, number in MADE:
        if word in one.name and len(one.shape) == len(shape) == 2:
            numbers = torch.arange(shape[1]).expand(shape) if number is None else torch.full(shape, number)
            return numbers, told
    raise ProbeError(
        f"the graph takes {one.name} {list(one.shape)}, and nobody gave it: there is {', '.join(given)}",
        hint="record a reference that is fed it, and give --inputs REF.h5",
    )


def as_arrays(graph_inputs: Sequence[Fed], fed: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """In the dtypes that the graph takes."""
    kinds = {one.name: one.dtype for one in graph_inputs}
    return {name: np.ascontiguousarray(tensor.numpy().astype(kinds[name])) for name, tensor in fed.items()}


def vocabulary(graph: Graph) -> int | None:
    """Rows of the longest table that an input is looked up in; None where there is none."""
    rows = [
        table.shape[0]
        for node in graph.nodes
        if node.op == "Gather" and not node.attributes.get("axis", 0) and _is_fed(graph, node.inputs[1])
        for table in [graph.initializers.get(_stored(graph, node.inputs[0]))]
        if table is not None and table.ndim == 2
    ]
    return max(rows, default=None)


def _is_fed(graph: Graph, value: str) -> bool:
    """Whether it is an input of the graph, but for its shape and type."""
    while (node := graph.producer.get(value)) and node.op in ("Cast", "Reshape", "Identity"):
        value = node.inputs[0]
    return value in (one.name for one in graph.inputs)


def _stored(graph: Graph, value: str) -> str:
    maker = graph.producer.get(value)
    return maker.inputs[0] if maker and maker.op == "DequantizeLinear" else value
