"""Attention in a graph, told as PyTorch's is: a product, a softmax, and a product again; or one operation.

B sentences, H heads, T queries, S keys, D channels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.scores import Scores, mixing_of, plain, scores_before, unscaled

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


def attentions(graph: Graph, values: Mapping[str, Array]) -> Iterator[Attention]:
    """`values` of a run say which constants are single numbers, and how large tensors are."""
    for node in graph.nodes:
        if node.op in FUSED:
            yield _fused(node)
        elif node.op == "Softmax":
            scores = scores_before(graph, values, node.inputs[0])
            mixing = mixing_of(graph, node.outputs[0])
            if scores and mixing:
                yield _told(graph, values, node, scores, mixing)


def _told(graph: Graph, values: Mapping[str, Array], softmax: Node, scores: Scores, mixing: Node) -> Attention:
    product = scores.product
    factors = [*scores.factors, float(product.attributes.get("alpha", 1.0))]
    query, more = unscaled(graph, values, product.inputs[0])
    key, others = unscaled(graph, values, product.inputs[1])
    scale = 1.0
    for factor in (*factors, *more, *others):
        scale *= factor
    is_turned = not product.attributes.get("transB")
    keys = plain(graph, values, key, is_turned=is_turned)
    seen = [Seen("in.query", query), Seen("in.key", *keys), Seen("in.scale", scale)]
    seen += [Seen(f"in.mask.{number}" if number else "in.mask", mask) for number, mask in enumerate(scores.masks)]
    seen += [Seen("in.softcap", scores.cap)] if scores.cap is not None else []
    seen += [Seen("out.scores", softmax.inputs[0]), Seen("out.probabilities", softmax.outputs[0])]
    seen += [
        Seen("in.value", *plain(graph, values, mixing.inputs[1], is_turned=False)),
        Seen("out", mixing.outputs[0]),
    ]
    return Attention(product, tuple(seen), frozenset((softmax.inputs[0], softmax.outputs[0], mixing.outputs[0])))


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
