"""A graph's values as taps: what modules are given and return, and all else as functions that they call."""

from collections import Counter
from collections.abc import Iterator, Mapping
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
    found = list(module_taps(graph, homes, weights, values))
    returned = {str(tap.value) for tap in found if tap.port.startswith("out")}
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


def module_taps(
    graph: Graph, homes: Homes, weights: Weights, values: Mapping[str, Array] | None = None
) -> Iterator[GraphTap]:
    """What the graph and its modules are given and return; without `values`, also what is not recorded since nobody
    knows which of several tensors it is."""
    end = len(graph.nodes)
    yield from (GraphTap((-1, 0), "", ROOT, 0, f"in.{one.name}", one.name) for one in graph.inputs)
    yield from (GraphTap((end, 0), "", ROOT, 0, f"out.{name}", name) for name in graph.outputs)
    for call in calls_of(graph, homes, weights):
        about = call.module, call.kind, call.number
        first, *others = call.ports.inputs or ("",)
        if first and not (values and any(_alike(values, first, other) for other in others)):
            yield GraphTap((call.nodes[0].index - 0.5, call.depth), *about, "in", first)
        for number, value in enumerate(call.ports.outputs):
            place = graph.producer[value].index + 0.5, -call.depth
            yield GraphTap(place, *about, f"out.{number}" if number else "out", value)


def _of_attention(node: Node, seen: Seen, name: str, call: int) -> GraphTap:
    return GraphTap((node.index, 0), name, "attention", call, seen.port, seen.value, seen.is_turned)


def _alike(values: Mapping[str, Array], value: str, other: str) -> bool:
    return values[value].shape == values[other].shape and values[value].dtype == values[other].dtype
