"""The ways through a graph around a softmax: back to queries and keys, on to values, and past what changes nothing.

B sentences, H heads, T queries, S keys, D channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from probe.targets.onnx.graph import Array, Graph, Node

PRODUCTS = ("MatMul", "FusedMatMul")
SAME = ("Cast", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout")
"""Operations that leave a tensor what it is, but for rounding."""


@dataclass(slots=True)
class Scores:
    """The way from a softmax back to a product."""

    product: Node
    factors: list[float] = field(default_factory=list)
    cap: float | None = None
    masks: list[str] = field(default_factory=list)


def scores_before(graph: Graph, values: Mapping[str, Array], value: str) -> Scores | None:
    """From what a softmax is given; None where no product of two tensors that move leads to it."""
    node = graph.producer.get(value)
    if node is None:
        return None
    if node.op in PRODUCTS:
        return Scores(node) if all(graph.moves(one) for one in node.inputs[:2]) else None
    if node.op in SAME:
        return scores_before(graph, values, node.inputs[0])
    if node.op == "Tanh":
        found = scores_before(graph, values, node.inputs[0])
        if found:
            found.cap = 1.0
        return found
    if node.op in ("Mul", "Div"):
        factor = _factor(values, graph, node)
        found = scores_before(graph, values, factor[0]) if factor else None
        if found and factor:
            found.factors.append(factor[1])
            found.cap = None if found.cap is None else found.cap * factor[1]
        return found
    if node.op in ("Add", "Where"):
        for one in node.inputs:
            if graph.moves(one) and (found := scores_before(graph, values, one)):
                others = [
                    other for other in node.inputs if other != one and (node.op == "Add" or other == node.inputs[0])
                ]
                found.masks = [*found.masks, *others]
                return found
    return None


def _factor(values: Mapping[str, Array], graph: Graph, node: Node) -> tuple[str, float] | None:
    """What is multiplied by a single number, and that number."""
    for place, other in ((0, 1), (1, 0)):
        constant = graph.initializers.get(node.inputs[other], values.get(node.inputs[other]))
        if node.inputs[other] in graph.constants and constant is not None and constant.size == 1:
            if node.op == "Div" and place == 1:
                return None
            number = float(constant.reshape(-1)[0])
            return node.inputs[place], 1 / number if node.op == "Div" else number
    return None


def unscaled(graph: Graph, values: Mapping[str, Array], value: str) -> tuple[str, list[float]]:
    """Before it was multiplied by numbers, and those."""
    factors = []
    while (node := graph.producer.get(value)) and node.op in ("Mul", "Div", "QuantizeLinear", "DequantizeLinear"):
        if node.op in SAME:
            value = node.inputs[0]
        elif factor := _factor(values, graph, node):
            value = factor[0]
            factors.append(factor[1])
        else:
            break
    return value, factors


def plain(graph: Graph, values: Mapping[str, Array], value: str, *, is_turned: bool) -> tuple[str, bool]:
    """Keys or values [B, H, S, D] with as many heads as were projected, and whether they are still turned."""
    at, turned = value, is_turned
    while (node := graph.producer.get(at)) and node.op in (
        "Reshape",
        "Transpose",
        "DequantizeLinear",
        "QuantizeLinear",
    ):
        if node.op == "Reshape" and (before := _unrepeated(graph, node)) and not turned:
            return before, False
        if node.op == "Transpose":
            if not _turns(node):
                break
            turned = not turned
        at = node.inputs[0]
        if turned == is_turned or values[at].ndim != 4:
            continue
        value, is_turned = at, turned
        if not turned:
            repeated = graph.producer.get(at)
            before = _unrepeated(graph, repeated) if repeated and repeated.op == "Reshape" else None
            return before or at, False
    return value, is_turned


def _turns(node: Node) -> bool:
    """Whether a transposition exchanges the last two axes alone."""
    order = list(node.attributes.get("perm", ()))
    last = len(order) - 1
    return last > 0 and order == [*range(last - 1), last, last - 1]


def _unrepeated(graph: Graph, reshape: Node) -> str | None:
    """What several query heads share, before each was given its own: [B, H, S, D]."""
    expand = graph.producer.get(reshape.inputs[0])
    before = graph.producer.get(expand.inputs[0]) if expand and expand.op == "Expand" else None
    return before.inputs[0] if before and before.op == "Unsqueeze" else None


def mixing_of(graph: Graph, value: str) -> Node | None:
    """The product of probabilities and values."""
    for user in graph.consumers[value]:
        if user.op in PRODUCTS and user.inputs[0] == value and graph.moves(user.inputs[1]):
            return user
        if user.op in SAME or (user.op == "Where" and value == user.inputs[2]):
            return mixing_of(graph, user.outputs[0])
    return None
