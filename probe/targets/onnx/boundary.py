"""What goes into a module's nodes and what comes out, told by who uses which values."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.tap import template
from probe.targets.onnx.graph import Graph, Node
from probe.targets.onnx.homes import ROUNDING, Homes


@dataclass(frozen=True, slots=True)
class Ports:
    inputs: tuple[str, ...] = ()
    """Values from outside, in the order in which they are used; what is rounded to integers as it was before."""
    outputs: tuple[str, ...] = ()
    """Values that go outside, as they were before they are rounded."""


def ports_of(graph: Graph, homes: Homes, module: str, nodes: Sequence[Node], *, has_weight: bool) -> Ports:
    """A wrong port is worse than none: no outputs where nobody knows which of several values a module returns; and
    where a module that has no weight itself ends at a node that nobody knows the place of, it may go on there."""
    inside = {node.index for node in nodes}
    made = {value for node in nodes for value in node.outputs}
    given = [value for node in nodes for value in node.inputs if value not in made and graph.moves(value)]
    used = [value for node in nodes for value in node.outputs if graph.moves(value) and _leaves(graph, value, inside)]
    last = [value for value in used if not _leads_to(graph, value, set(used) - {value}, inside)]
    if any(not _is_shared(graph, homes, value, module, inside) for value in used if value not in last):
        last = []
    if not has_weight:
        if any(value in graph.producer and graph.producer[value].index in homes.added for value in given):
            given = []
        if any(user.index in homes.added - inside for value in last for user in graph.consumers[value]):
            last = []
    if module in homes.cut or (len(last) > 1 and homes.is_sorted_anew):
        last = []
    before = {value: _before_rounding(graph, value) for value in (*given, *last)}
    returned = (before[value] if before[value] in made else value for value in last)
    return Ports(tuple(dict.fromkeys(before[value] for value in given)), tuple(dict.fromkeys(returned)))


def _before_rounding(graph: Graph, value: str) -> str:
    node = graph.producer.get(value)
    if node and node.op == "DequantizeLinear":
        node = graph.producer.get(node.inputs[0])
    return node.inputs[0] if node and node.op in ROUNDING else value


def _leaves(graph: Graph, value: str, inside: set[int]) -> bool:
    return value in graph.outputs or any(node.index not in inside for node in graph.consumers[value])


def _leads_to(graph: Graph, value: str, others: set[str], inside: set[int]) -> bool:
    """Whether one of `others` is made of it, inside."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        for node in graph.consumers[waiting.pop()]:
            if node.index in inside and node.index not in seen:
                if others.intersection(node.outputs):
                    return True
                seen.add(node.index)
                waiting.extend(node.outputs)
    return False


def _is_shared(graph: Graph, homes: Homes, value: str, module: str, inside: set[int]) -> bool:
    """Whether a value on the way is used outside only by modules like this one (what all layers compute, an exporter
    computes once), or is a cache that the graph returns."""
    like = template(module)[0]
    users = (node for node in graph.consumers[value] if node.index not in inside)
    return all(any(template(home)[0] == like for home, _ in homes.around[user.index]) for user in users)
