"""Nodes that compute with one weight together, where no exporter says which module they are: a product with the scales
around it and its bias, a norm that is written out, a look-up."""

from collections.abc import Iterator
from dataclasses import dataclass

from probe.targets.onnx.graph import Graph, Node
from probe.targets.onnx.weights import NORMS, Use, Weights

LONGEST = 16
"""Nodes of a norm, at most."""
FUSED_BIASES = ("SkipLayerNormalization", "BiasGelu", "FastGelu", "BiasDropout", "BiasSoftmax")
"""Operations that add a product's bias themselves: its output is nowhere."""


@dataclass(frozen=True, slots=True)
class Region:
    kind: str
    nodes: tuple[Node, ...]
    uses: tuple[Use, ...]
    is_whole: bool = True
    """Whether what it returns is what a module of its weight returns."""


def regions_of(graph: Graph, weights: Weights) -> Iterator[Region]:
    for node in graph.nodes:
        uses = weights.uses(node)
        if any(use.is_matrix for use in uses):
            yield _product(graph, weights, node)
        elif uses and node.op in NORMS:
            yield Region(node.op, (node,), uses)
        elif uses and node.op == "Mul" and (nodes := _written_norm(graph, weights, node)):
            added, bias = _bias_behind(graph, weights, node)
            yield Region("Norm", (*nodes, node, *added), (*uses, *bias))


def _product(graph: Graph, weights: Weights, node: Node) -> Region:
    nodes, last = [node], node
    while len(users := graph.consumers[last.outputs[0]]) == 1 and _is_scaling(graph, last, users[0]):
        last = users[0]
        nodes.append(last)
        nodes += _own_factor(graph, last, nodes)
    added, bias = _bias_behind(graph, weights, last)
    end = (added or [last])[-1]
    is_whole = not any(user.op in FUSED_BIASES for user in graph.consumers[end.outputs[0]])
    kind = "Embedding" if node.op == "Gather" else "Conv" if "Conv" in node.op else "Linear"
    return Region(kind, (*nodes, *added), (*weights.uses(node), *bias), is_whole)


def _is_scaling(graph: Graph, last: Node, user: Node) -> bool:
    """Whether `user` makes numbers of integers that an integer product, or a look-up in integers, returned."""
    if last.op in ("MatMulInteger", "ConvInteger"):
        return user.op == "Cast"
    if last.op == "Cast":
        return user.op == "Mul"
    return last.op == "Gather" and user.op == "DequantizeLinear"


def _own_factor(graph: Graph, node: Node, nodes: list[Node]) -> list[Node]:
    """The product of two scales, used here alone."""
    made = {value for one in nodes for value in one.outputs}
    makers = [graph.producer[value] for value in node.inputs if value in graph.producer and value not in made]
    return [maker for maker in makers if maker.op == "Mul" and len(graph.consumers[maker.outputs[0]]) == 1]


def _bias_behind(graph: Graph, weights: Weights, node: Node) -> tuple[list[Node], tuple[Use, ...]]:
    """The addition of a vector right behind, or behind a rounding to integers and back."""
    way: list[Node] = []
    while len(users := graph.consumers[node.outputs[0]]) == 1:
        node = users[0]
        way.append(node)
        if node.op == "Add":
            bias = weights.uses(node)
            return (way, bias) if bias else ([], ())
        if node.op not in ("QuantizeLinear", "DequantizeLinear"):
            break
    return [], ()


def _written_norm(graph: Graph, weights: Weights, scaled: Node) -> list[Node]:
    """Nodes between what is normed and the multiplication by the weight; empty where it is no norm."""
    mean = _nearest_mean(graph, scaled)
    if mean is None:
        return []
    given = _normed(graph, mean)
    found: dict[int, Node] = {}
    waiting = [value for value in scaled.inputs if graph.moves(value)]
    while waiting:
        value = waiting.pop()
        node = graph.producer.get(value)
        if value == given or (node and node.index in found):
            continue
        if node is None or len(found) == LONGEST or any(use.is_matrix for use in weights.uses(node)):
            return []
        found[node.index] = node
        waiting += [one for one in node.inputs if graph.moves(one)]
    return [found[index] for index in sorted(found)]


def _nearest_mean(graph: Graph, node: Node) -> Node | None:
    waiting, seen = [node], 0
    while waiting and seen < LONGEST:
        node, seen = waiting.pop(0), seen + 1
        if node.op == "ReduceMean":
            return node
        waiting += [graph.producer[value] for value in node.inputs if graph.moves(value) and value in graph.producer]
    return None


def _normed(graph: Graph, mean: Node) -> str:
    """Of what the mean square, the variance or the mean is taken."""
    value = mean.inputs[0]
    node = graph.producer.get(value)
    if node and (node.op == "Pow" or (node.op == "Mul" and len(set(node.inputs)) == 1)):
        value = node.inputs[0]
        node = graph.producer.get(value)
        if node and node.op == "Sub":
            value = node.inputs[0]
    return value
