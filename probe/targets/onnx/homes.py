"""The modules around each node: as the exporter noted them, and of nodes that came later, those of all neighbours."""

from collections.abc import Iterable, Mapping

from probe.targets.onnx.graph import Graph, Node

Home = tuple[tuple[str, str], ...]
"""Modules with their classes, the outermost first; the model itself is no part of it."""


def homes_of(graph: Graph) -> list[Home]:
    """By a node's index."""
    noted = {node.index: _noted(node) for node in graph.nodes if node.scope is not None}
    before: dict[int, Home] = {}
    for node in graph.nodes:
        givers = [graph.producer[value] for value in node.inputs if graph.moves(value) and value in graph.producer]
        fed = any(graph.moves(value) and value not in graph.producer for value in node.inputs)
        before[node.index] = () if fed else _common(_known(givers, noted, before))
    behind: dict[int, Home] = {}
    for node in reversed(graph.nodes):
        users = [user for value in node.outputs for user in graph.consumers[value]]
        returned = any(value in graph.outputs for value in node.outputs)
        behind[node.index] = () if returned else _common(_known(users, noted, behind))
    return [
        noted[index] if index in noted else _common([before[index], behind[index]]) for index in range(len(graph.nodes))
    ]


def _noted(node: Node) -> Home:
    assert node.scope is not None
    return tuple(zip(node.scope.modules, node.scope.classes, strict=True))


def _known(nodes: Iterable[Node], noted: Mapping[int, Home], found: Mapping[int, Home]) -> list[Home]:
    return [noted[node.index] if node.index in noted else found[node.index] for node in nodes]


def _common(homes: Iterable[Home]) -> Home:
    """The modules that lie around all of them."""
    first, *others = [*homes] or [()]
    for other in others:
        same = [one == two for one, two in zip(first, other, strict=False)]
        first = first[: [*same, False].index(False)]
    return first
