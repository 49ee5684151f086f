"""A graph's values as taps: what modules are given and return, and all else as functions that they call."""

from collections import Counter
from dataclasses import dataclass

from probe.targets.onnx.calls import calls_of
from probe.targets.onnx.graph import Graph
from probe.targets.onnx.homes import Home
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
    value: str


def taps_of(graph: Graph, homes: list[Home], weights: Weights) -> list[GraphTap]:
    """Of one run, in the order of execution: a module's input comes before all inside of it, its output behind."""
    end = len(graph.nodes)
    found = [GraphTap((-1, 0), "", ROOT, 0, f"in.{one.name}", one.name) for one in graph.inputs]
    found += [GraphTap((end, 0), "", ROOT, 0, f"out.{name}", name) for name in graph.outputs]
    returned: set[str] = set(graph.outputs)
    for call in calls_of(graph, homes, weights):
        about = call.module, call.kind, call.number
        for value in call.ports.inputs[:1]:
            found.append(GraphTap((call.nodes[0].index - 0.5, call.depth), *about, "in", value))
        for number, value in enumerate(call.ports.outputs):
            place = graph.producer[value].index + 0.5, -call.depth
            found.append(GraphTap(place, *about, f"out.{number}" if number else "out", value))
            returned.add(value)
    numbers: Counter[str] = Counter()
    for node in graph.nodes:
        for value in node.outputs:
            if value and value not in returned and graph.moves(value):
                owner = f"{homes[node.index][-1][0]}." if homes[node.index] else ""
                function = node.op.lower()
                name = f"{owner}@{function}"
                found.append(GraphTap((node.index, 0), name, function, numbers[name], "out", value))
                numbers[name] += 1
    return sorted(found, key=lambda tap: tap.place)
