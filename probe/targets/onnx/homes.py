"""The modules around each node: as the exporter noted them; of a node that came later, those of all its neighbours.

What computes with a weight and is in no module is one by itself, of its weight's name, or its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from probe.targets.onnx.graph import Graph, Node
from probe.targets.onnx.regions import Region, regions_of
from probe.targets.onnx.weights import Use, Weights

Home = tuple[tuple[str, str], ...]
"""Modules with their classes, the outermost first; the model itself is no part of it."""
ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear")
STORED = ("_quantized", "_Q4", "_Q8", "_Q2", "_DequantizeLinear_Output")
"""What quantizers append to a weight's name."""


@dataclass(frozen=True, slots=True)
class Homes:
    around: tuple[Home, ...]
    """By a node's index."""
    added: frozenset[int]
    """Nodes of modules that nobody noted: whether they lie in a module beside them, nobody knows."""
    cut: frozenset[str]
    """Modules that nobody noted, and that return something else than the module of their weight does."""
    weights: Mapping[str, Use]
    """By names, `<module>.<parameter>`."""

    is_sorted_anew: bool
    """Whether somebody worked on the graph after its export: nodes may stand in another order than they had."""

    def module(self, node: Node) -> str:
        return self.around[node.index][-1][0] if self.around[node.index] else ""


def homes_of(graph: Graph, weights: Weights) -> Homes:
    noted = {node.index: _noted(node) for node in graph.nodes if node.scope is not None}
    regions = list(regions_of(graph, weights))
    for region in regions:
        known = [noted[node.index] for node in region.nodes if node.index in noted]
        if known:
            deepest = max(known, key=len)
            noted |= {node.index: deepest for node in region.nodes if node.index not in noted}
    around = _around(graph, noted)
    added: set[int] = set()
    cut: set[str] = set()
    taken = {module for home in around for module, _ in home}
    for region in regions:
        if region.nodes[0].index not in noted and region.nodes[0].index not in added:
            home = _common(around[node.index] for node in region.nodes)
            name = _free(_name(region), taken)
            taken.add(name)
            for node in region.nodes:
                around[node.index] = (*home, (name, region.kind))
                added.add(node.index)
            cut |= set() if region.is_whole else {name}
    named = dict(_named(graph, weights, around, regions))
    later = bool(added) or any(node.op in ROUNDING for node in graph.nodes)
    return Homes(tuple(around), frozenset(added), frozenset(cut), named, later)


def _around(graph: Graph, noted: Mapping[int, Home]) -> list[Home]:
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
    indices = range(len(graph.nodes))
    return [noted[index] if index in noted else _common([before[index], behind[index]]) for index in indices]


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


def _name(region: Region) -> str:
    """That of its weight or bias in the file, without the parameter's; else the first node's."""
    for use in region.uses:
        module, _, parameter = _stored_name(use.value).rpartition(".")
        if module and parameter in ("weight", "bias"):
            return module
    node = region.nodes[0]
    return (
        (node.name or f"node_{node.index}_{node.op}").replace(":", "_").replace("@", "_").replace("/", ".").strip(".")
    )


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while (f"{name}_{number}" if number > 1 else name) in taken:
        number += 1
    return f"{name}_{number}" if number > 1 else name


def _stored_name(value: str) -> str:
    for ending in STORED:
        value = value.removesuffix(ending)
    return value


def _named(graph: Graph, weights: Weights, around: list[Home], regions: list[Region]) -> Iterator[tuple[str, Use]]:
    """Each weight under the name that the file has, if that is the module's, else as `<module>.weight`."""
    of_regions = {use.value for region in regions for use in region.uses}
    for node in graph.nodes:
        for use in weights.uses(node):
            module = around[node.index][-1][0] if around[node.index] else ""
            if node.scope is None and use.value not in of_regions:
                continue
            name = _stored_name(use.value)
            dot = f"{module}." if module else ""
            yield (name if dot and name.startswith(dot) else f"{dot}{use.parameter}"), use
