"""Calls of modules in a graph: the nodes of each, and what goes into them and comes out.

Nothing is asked of the file's order but that it can be run: quantizers sort the nodes anew. A module's nodes that are
wired together are one call. Several such groups are several calls if they use one weight, or do the same without any.
"""

from collections import defaultdict
from dataclasses import dataclass

from probe.targets.onnx.boundary import Ports, ports_of
from probe.targets.onnx.graph import Graph, Node
from probe.targets.onnx.homes import Homes
from probe.targets.onnx.weights import Weights


@dataclass(frozen=True, slots=True)
class Call:
    module: str
    kind: str
    """The module's class, "" where nobody knows."""
    number: int
    """How often it was called before."""
    depth: int
    """How many modules lie around it."""
    nodes: tuple[Node, ...]
    ports: Ports


def calls_of(graph: Graph, homes: Homes, weights: Weights) -> list[Call]:
    """Every call of every module but the graph itself."""
    members: dict[str, list[Node]] = defaultdict(list)
    kinds: dict[str, tuple[str, int]] = {}
    for node in graph.nodes:
        for depth, (module, kind) in enumerate(homes.around[node.index]):
            members[module].append(node)
            kinds[module] = kind, depth
    found = []
    weighty = {name.rpartition(".")[0] for name in homes.weights}
    for module, nodes in members.items():
        kind, depth = kinds[module]
        for number, call in enumerate(_calls(graph, nodes, weights)):
            several = _is_of_several(call, weights)
            ports = Ports() if several else ports_of(graph, homes, module, call, has_weight=module in weighty)
            found.append(Call(module, kind, number, depth, tuple(call), ports))
    return found


def _calls(graph: Graph, nodes: list[Node], weights: Weights) -> list[list[Node]]:
    groups = _wired(graph, nodes)
    if len(groups) == 1:
        return groups
    used = [{use.value for node in group for use in weights.uses(node)} for group in groups]
    if not any(used):
        alike = len({tuple(sorted(node.op for node in group)) for group in groups}) == 1
        return groups if alike else [nodes]
    calls: list[tuple[list[Node], set[str]]] = []
    for group, uses in zip(groups, used, strict=True):
        nodes_of_call, theirs = next((call for call in calls if not call[1] & uses), ([], set()))
        if not nodes_of_call:
            calls.append((nodes_of_call, theirs))
        nodes_of_call.extend(group)
        theirs |= uses
    return [sorted(call, key=lambda node: node.index) for call, _ in calls]


def _wired(graph: Graph, nodes: list[Node]) -> list[list[Node]]:
    """Groups of nodes that give each other values, in the order of their first nodes."""
    first = {node.index: node.index for node in nodes}

    def root(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    for node in nodes:
        for value in node.inputs:
            giver = graph.producer.get(value)
            if giver and giver.index in first and graph.moves(value):
                ends = sorted((root(node.index), root(giver.index)))
                first[ends[1]] = ends[0]
    groups: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[root(node.index)].append(node)
    moving = [group for group in groups.values() if any(graph.moves(value) for value in group[0].outputs)]
    return moving or [nodes]


def _is_of_several(call: list[Node], weights: Weights) -> bool:
    """Whether it uses a weight twice: then it is several calls in a row, and nobody says where one ends."""
    uses = [use.value for node in call for use in weights.uses(node)]
    return len(uses) > len(set(uses))
