"""A graph's values as taps: what modules are given and return, and all else as functions that they call."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from probe.targets.onnx.attention import Seen, attentions
from probe.targets.onnx.calls import calls_of
from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.homes import Homes
from probe.targets.onnx.weights import Weights

ROOT = "Graph"
"""Class of what is no module's: the graph itself."""


@dataclass(frozen=True, slots=True)
class GraphTap:
    """One value of the graph under one name."""

    place: tuple[float, int]
    """Where it stands in the order of execution."""
    module: str
    kind: str
    call: int
    port: str
    value: str | float
    """A value of the graph, or a number."""
    is_turned: bool = False
    """Whether its last two axes are exchanged in the tap."""


def taps_of(graph: Graph, homes: Homes, weights: Weights, values: Mapping[str, Array]) -> list[GraphTap]:
    """Of one run, in the order of execution: a module's input comes before all inside of it, its output behind.

    A module that is given two tensors of one shape has no input: nobody knows which is the first.
    """
    end = len(graph.nodes)
    found = [GraphTap((-1, 0), "", ROOT, 0, f"in.{one.name}", one.name) for one in graph.inputs]
    found += [GraphTap((end, 0), "", ROOT, 0, f"out.{name}", name) for name in graph.outputs]
    returned: set[str] = set(graph.outputs)
    for call in calls_of(graph, homes, weights):
        about = call.module, call.kind, call.number
        given = call.ports.inputs
        for value in given[:1] if not any(_alike(values, given[0], other) for other in given[1:]) else ():
            found.append(GraphTap((call.nodes[0].index - 0.5, call.depth), *about, "in", value))
        for number, value in enumerate(call.ports.outputs):
            place = graph.producer[value].index + 0.5, -call.depth
            found.append(GraphTap(place, *about, f"out.{number}" if number else "out", value))
            returned.add(value)
    numbers: Counter[str] = Counter()
    for one in attentions(graph, values):
        name = f"{homes.module(one.node)}.@attention".removeprefix(".")
        found += [_of_attention(one.node, seen, name, numbers[name]) for seen in one.seen]
        numbers[name] += 1
        returned |= one.told
    for node in graph.nodes:
        for value in node.outputs:
            if value and value not in returned and graph.moves(value):
                function = node.op.lower()
                name = f"{homes.module(node)}.@{function}".removeprefix(".")
                found.append(GraphTap((node.index, 0), name, function, numbers[name], "out", value))
                numbers[name] += 1
    return sorted(found, key=lambda tap: tap.place)


def _of_attention(node: Node, seen: Seen, name: str, call: int) -> GraphTap:
    return GraphTap((node.index, 0), name, "attention", call, seen.port, seen.value, seen.is_turned)


def _alike(values: Mapping[str, Array], value: str, other: str) -> bool:
    return values[value].shape == values[other].shape and values[value].dtype == values[other].dtype
