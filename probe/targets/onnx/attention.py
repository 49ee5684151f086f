"""Attention in a graph, told as PyTorch's is: a product, a softmax, and a product again; or one operation.

B sentences, H heads, T queries, S keys, D channels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from probe.targets.onnx.graph import Array, Graph, Node

PRODUCTS = ("MatMul", "FusedMatMul")
SAME = ("Cast", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout")
"""Operations that leave a tensor what it is, but for rounding."""
FUSED = ("MultiHeadAttention", "GroupQueryAttention", "Attention")


@dataclass(frozen=True, slots=True)
class Seen:
    """One port: a value of the graph, or a number."""

    port: str
    value: str | float
    is_turned: bool = False
    """Whether its last two axes are to be exchanged."""


@dataclass(frozen=True, slots=True)
class Attention:
    node: Node
    """Whose module calls it: that multiplies query and key."""
    seen: tuple[Seen, ...]
    told: frozenset[str]
    """Values that need no other name."""


@dataclass(slots=True)
class _Scores:
    """The way from a softmax back to a product."""

    product: Node
    factors: list[float] = field(default_factory=list)
    cap: float | None = None
    masks: list[str] = field(default_factory=list)


def attentions(graph: Graph, values: Mapping[str, Array]) -> Iterator[Attention]:
    """`values` of a run say which constants are single numbers, and how large tensors are."""
    for node in graph.nodes:
        if node.op in FUSED:
            yield _fused(node)
        elif node.op == "Softmax":
            scores = _scores(graph, values, node.inputs[0])
            mixing = _mixing(graph, node.outputs[0])
            if scores and mixing:
                yield _told(graph, values, node, scores, mixing)


def _told(graph: Graph, values: Mapping[str, Array], softmax: Node, scores: _Scores, mixing: Node) -> Attention:
    product = scores.product
    factors = [*scores.factors, float(product.attributes.get("alpha", 1.0))]
    query, more = _unscaled(graph, values, product.inputs[0])
    key, others = _unscaled(graph, values, product.inputs[1])
    scale = 1.0
    for factor in (*factors, *more, *others):
        scale *= factor
    is_turned = not product.attributes.get("transB")
    keys = _plain(graph, values, key, is_turned=is_turned)
    seen = [Seen("in.query", query), Seen("in.key", *keys), Seen("in.scale", scale)]
    seen += [Seen(f"in.mask.{number}" if number else "in.mask", mask) for number, mask in enumerate(scores.masks)]
    seen += [Seen("in.softcap", scores.cap)] if scores.cap is not None else []
    seen += [Seen("out.scores", softmax.inputs[0]), Seen("out.probabilities", softmax.outputs[0])]
    seen += [
        Seen("in.value", *_plain(graph, values, mixing.inputs[1], is_turned=False)),
        Seen("out", mixing.outputs[0]),
    ]
    return Attention(product, tuple(seen), frozenset((softmax.inputs[0], softmax.outputs[0], mixing.outputs[0])))


def _scores(graph: Graph, values: Mapping[str, Array], value: str) -> _Scores | None:
    node = graph.producer.get(value)
    if node is None:
        return None
    if node.op in PRODUCTS:
        return _Scores(node) if all(graph.moves(one) for one in node.inputs[:2]) else None
    if node.op in SAME:
        return _scores(graph, values, node.inputs[0])
    if node.op == "Tanh":
        found = _scores(graph, values, node.inputs[0])
        if found:
            found.cap = 1.0
        return found
    if node.op in ("Mul", "Div"):
        factor = _factor(values, graph, node)
        found = _scores(graph, values, factor[0]) if factor else None
        if found and factor:
            found.factors.append(factor[1])
            found.cap = None if found.cap is None else found.cap * factor[1]
        return found
    if node.op in ("Add", "Where"):
        for one in node.inputs:
            if graph.moves(one) and (found := _scores(graph, values, one)):
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


def _unscaled(graph: Graph, values: Mapping[str, Array], value: str) -> tuple[str, list[float]]:
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


def _plain(graph: Graph, values: Mapping[str, Array], value: str, *, is_turned: bool) -> tuple[str, bool]:
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


def _mixing(graph: Graph, value: str) -> Node | None:
    """The product of probabilities and values."""
    for user in graph.consumers[value]:
        if user.op in PRODUCTS and user.inputs[0] == value and graph.moves(user.inputs[1]):
            return user
        if user.op in SAME or (user.op == "Where" and value == user.inputs[2]):
            return _mixing(graph, user.outputs[0])
    return None


def _fused(node: Node) -> Attention:
    """Only what is given as PyTorch is given it: what is still to be rotated, or to get a bias, is something else."""
    given = dict(enumerate(node.inputs))
    rotates, has_bias = node.attributes.get("do_rotary"), node.op == "MultiHeadAttention" and bool(given.get(3))
    names = {0: "in.query", 1: "in.key", 2: "in.value"}
    if rotates:
        names = {2: "in.value"}
    if has_bias or (node.domain == "com.microsoft" and node.op == "Attention"):
        names = {}
    seen = [Seen(port, given[place]) for place, port in names.items() if given.get(place)]
    return Attention(node, (*seen, Seen("out", node.outputs[0])), frozenset(node.outputs[:1]))
