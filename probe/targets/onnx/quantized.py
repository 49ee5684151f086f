"""Weights that are stored as integers, as the numbers that they stand for.

K inputs, N outputs of a product; S blocks of a row.
"""

from collections.abc import Mapping

import numpy as np

from probe.targets.onnx.graph import Array, Graph, Node

SCALED = {
    "MatMulIntegerToFloat": (1, 3, 5),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "QLinearMatMul": (3, 4, 5),
}
"""Inputs of products that bring their weight's scale with them: the weight, its scale, its zero point."""


def dense(graph: Graph, node: Node, value: str, computed: Mapping[str, Array]) -> Array | None:
    """The weight `value` of a product or a look-up as it is multiplied; None where its scale is not found.

    `computed` are the values of a run.
    """
    stored = graph.initializers.get(value, computed.get(value))
    if stored is None or stored.dtype.kind == "f":
        return stored
    if node.op == "MatMulNBits":
        return _unpacked(graph, node, stored)
    if node.op in SCALED:
        _, scale, zero = (_constant(graph, node, place) for place in SCALED[node.op])
        return _scaled(stored, scale, zero)
    if node.op == "MatMulInteger":
        return _scaled(stored, _scale_behind(graph, node), _constant(graph, node, 3))
    behind = next((user for user in graph.consumers[node.outputs[0]] if user.op == "DequantizeLinear"), None)
    return _scaled(stored, _constant(graph, behind, 1), _constant(graph, behind, 2)) if behind else None


def _scaled(stored: Array, scale: Array | None, zero: Array | None) -> Array | None:
    """One scale for all, or one for each output (the last axis)."""
    if scale is None:
        return None
    offset = np.float32(0) if zero is None else zero.astype(np.float32)
    numbers: Array = (stored.astype(np.float32) - offset) * scale
    return numbers


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


def _unpacked(graph: Graph, node: Node, stored_NSB: Array) -> Array | None:
    """[N, K] of blocks of 4 (or 2, or 8) bits, the lower ones first, as com.microsoft.MatMulNBits has them."""
    bits, inputs, block = (int(node.attributes[name]) for name in ("bits", "K", "block_size"))
    scales = _constant(graph, node, 2)
    if scales is None or bits not in (2, 4, 8):
        return None
    num_outputs = int(node.attributes["N"])
    numbers_NSB = _split(stored_NSB.reshape(num_outputs, -1, stored_NSB.shape[-1]), bits)[..., :block]
    scales_NS = scales.astype(np.float32).reshape(num_outputs, -1)
    zero = _constant(graph, node, 3)
    zero_NS: Array = np.full_like(scales_NS, 1 << (bits - 1))
    if zero is not None and zero.dtype.kind == "f":
        zero_NS = zero.astype(np.float32).reshape(scales_NS.shape)
    elif zero is not None:
        zero_NS = _split(zero.reshape(num_outputs, -1), bits)[:, : scales_NS.shape[1]]
    numbers = (numbers_NSB - zero_NS[..., None]) * scales_NS[..., None]
    return np.ascontiguousarray(numbers.reshape(num_outputs, -1)[:, :inputs], np.float32)


def _split(packed: Array, bits: int) -> Array:
    """Numbers out of bytes, along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return apart.reshape(*packed.shape[:-1], -1).astype(np.float32)
