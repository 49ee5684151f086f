"""Weights that are stored as integers, as the numbers that they stand for.

K inputs, N outputs of a product; S blocks of a row, B numbers in a block.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from probe.targets.onnx.graph import Array, Graph, Node

SCALED = {"MatMulIntegerToFloat": (1, 3, 5), "DynamicQuantizeMatMul": (1, 2, 3), "QLinearMatMul": (3, 4, 5)}
"""Inputs of products that bring their weight's scale with them: the weight, its scale, its zero point."""


@dataclass(frozen=True, slots=True)
class Integers:
    """(whole - zero) * step."""

    whole: Array
    step: Array
    """As many as `whole`, or fewer that are repeated."""
    zero: Array
    bits: int

    @property
    def numbers(self) -> Array:
        found: Array = (self.whole.astype(np.float32) - self.zero) * self.step
        return found.astype(np.float32)


def dense(graph: Graph, node: Node, value: str, computed: Mapping[str, Array]) -> Array | None:
    """The weight `value` of a product or a look-up as it is multiplied; None where its scale is not found.

    `computed` are the values of a run.
    """
    integers = _integers(graph, node, value)
    if integers is not None:
        return integers.numbers
    stored = graph.initializers.get(value, computed.get(value))
    return stored if stored is not None and stored.dtype.kind == "f" else None


def step_of(graph: Graph, node: Node, value: str) -> Array | None:
    """What one whole number of a weight is worth; None where it is not stored as such."""
    integers = _integers(graph, node, value)
    return None if integers is None else np.broadcast_to(integers.step, integers.whole.shape)


def bits_of(graph: Graph, node: Node, value: str) -> int:
    integers = _integers(graph, node, value)
    return 0 if integers is None else integers.bits


def _integers(graph: Graph, node: Node, value: str) -> Integers | None:
    maker = graph.producer.get(value)
    if maker is not None:
        return _dequantized(graph, maker, maker.inputs[0]) if maker.op == "DequantizeLinear" else None
    stored = graph.initializers.get(value)
    if stored is None or stored.dtype.kind == "f":
        return None
    if node.op == "MatMulNBits":
        return _unpacked(graph, node, stored)
    if node.op in SCALED:
        _, scale, zero = (_constant(graph, node, place) for place in SCALED[node.op])
        return _scaled(stored, scale, zero, 1)
    if node.op == "MatMulInteger":
        return _scaled(stored, _scale_behind(graph, node), _constant(graph, node, 3), 1)
    behind = next((user for user in graph.consumers[node.outputs[0]] if user.op == "DequantizeLinear"), None)
    return _scaled(stored, _constant(graph, behind, 1), _constant(graph, behind, 2), 1) if behind else None


def _dequantized(graph: Graph, node: Node, value: str) -> Integers | None:
    stored = graph.initializers.get(value)
    if stored is None or node.attributes.get("block_size"):
        return None
    return _scaled(stored, _constant(graph, node, 1), _constant(graph, node, 2), int(node.attributes.get("axis", 1)))


def _scaled(stored: Array, scale: Array | None, zero: Array | None, axis: int) -> Integers | None:
    """One scale for all, or one for each place along an axis."""
    if scale is None or scale.dtype.kind != "f":
        return None
    along = [1] * stored.ndim
    if scale.size > 1:
        along[axis if axis < stored.ndim else 0] = -1
    offset = np.zeros(1, np.float32) if zero is None else zero.astype(np.float32)
    shapes = [along if array.size > 1 else [1] * stored.ndim for array in (scale, offset)]
    return Integers(stored, scale.reshape(shapes[0]), offset.reshape(shapes[1]), 8 * stored.dtype.itemsize)


def _scale_behind(graph: Graph, node: Node) -> Array | None:
    """Of an integer product: what its sums are multiplied by, but for the scale of what it is given."""
    cast = next((user for user in graph.consumers[node.outputs[0]] if user.op == "Cast"), None)
    times = next((user for user in graph.consumers[cast.outputs[0]] if user.op == "Mul"), None) if cast else None
    if cast is None or times is None:
        return None
    factor = next(value for value in times.inputs if value != cast.outputs[0])
    maker = graph.producer.get(factor)
    factors = maker.inputs if maker and maker.op == "Mul" else (factor,)
    return next((graph.initializers[one] for one in factors if one in graph.initializers), None)


def _constant(graph: Graph, node: Node | None, place: int) -> Array | None:
    if node is None or place >= len(node.inputs):
        return None
    return graph.initializers.get(node.inputs[place])


def _unpacked(graph: Graph, node: Node, stored_NSB: Array) -> Integers | None:
    """[N, K] of blocks of 4 (or 2, or 8) bits, the lower ones first, as com.microsoft.MatMulNBits has them."""
    bits, inputs, block = (int(node.attributes[name]) for name in ("bits", "K", "block_size"))
    scales, zero = _constant(graph, node, 2), _constant(graph, node, 3)
    if scales is None or bits not in (2, 4, 8):
        return None
    outputs = int(node.attributes["N"])
    whole_NSB = _split(stored_NSB.reshape(outputs, -1, stored_NSB.shape[-1]), bits)[..., :block]
    step_NS = scales.astype(np.float32).reshape(outputs, -1)
    zero_NS: Array = np.full_like(step_NS, 1 << (bits - 1))
    if zero is not None and zero.dtype.kind == "f":
        zero_NS = zero.astype(np.float32).reshape(step_NS.shape)
    elif zero is not None:
        zero_NS = _split(zero.reshape(outputs, -1), bits)[:, : step_NS.shape[1]]
    step_NK, zero_NK = (np.repeat(one, block, axis=1)[:, :inputs] for one in (step_NS, zero_NS))
    return Integers(whole_NSB.reshape(outputs, -1)[:, :inputs], step_NK, zero_NK, bits)


def _split(packed: Array, bits: int) -> Array:
    """Numbers out of bytes, along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return apart.reshape(*packed.shape[:-1], -1).astype(np.float32)
