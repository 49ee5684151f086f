"""What a graph holds as weights: which constants its nodes compute with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.quantized import SCALED, dense

MATRICES = {
    "MatMul": 1,
    "FusedMatMul": 1,
    "Gemm": 1,
    "Conv": 1,
    "ConvTranspose": 1,
    "MatMulInteger": 1,
    "MatMulNBits": 1,
    "Gather": 0,
    **{op: places[0] for op, places in SCALED.items()},
}
"""Which input of a product or a look-up is its matrix, where it is constant."""
BIASES = {"Gemm": 2, "Conv": 2, "ConvTranspose": 2, "MatMulIntegerToFloat": 6, "DynamicQuantizeMatMul": 4}
NORMS = {"LayerNormalization": (1, 2), "RMSNormalization": (1, 2), "SimplifiedLayerNormalization": (1, 2)}
NORMS |= {"SkipLayerNormalization": (2, 3), "SkipSimplifiedLayerNormalization": (2, 99)}
NORMS |= dict.fromkeys(("InstanceNormalization", "BatchNormalization", "GroupNormalization", "GroupNorm"), (1, 2))
"""Inputs that are a norm's weight and bias."""


@dataclass(frozen=True, slots=True)
class Use:
    """One node's use of a constant."""

    node: Node
    value: str
    parameter: str
    """"weight" or "bias"."""
    is_matrix: bool = False


class Weights:
    """Which node uses which constants as weights."""

    def __init__(self, graph: Graph, computed: Mapping[str, Array]) -> None:
        """`computed`: values of a run, of which constants are asked for that nodes compute."""
        self._graph, self._computed = graph, computed
        self._uses = [tuple(self._found(node)) for node in graph.nodes]

    def uses(self, node: Node) -> tuple[Use, ...]:
        return self._uses[node.index]

    def array(self, use: Use) -> Array | None:
        """As it is stored; integers as the numbers that they stand for, or None."""
        return dense(self._graph, use.node, use.value, self._computed)

    def _found(self, node: Node) -> Iterator[Use]:
        if not any(self._graph.moves(value) for value in node.inputs):
            return
        weight, bias = NORMS.get(node.op, (MATRICES.get(node.op), BIASES.get(node.op)))
        for place, value in enumerate(node.inputs):
            array = self._constant(value)
            if array is None:
                continue
            if place == weight:
                yield Use(node, value, "weight", node.op in MATRICES)
            elif place == bias:
                yield Use(node, value, "bias")
            elif array.ndim == 1 and array.dtype != np.int64 and node.op in ("Mul", "Add") and not self._is_scale(node):
                yield Use(node, value, "bias" if node.op == "Add" else "weight")

    def _is_scale(self, node: Node) -> bool:
        """Whether it multiplies two scales with each other."""
        makers = (self._graph.producer.get(value) for value in node.inputs)
        return any(maker is not None and maker.op == "DynamicQuantizeLinear" for maker in makers)

    def _constant(self, value: str) -> Array | None:
        """As it is stored, or as a run computed it; None for what moves, and for single numbers."""
        if not value or value not in self._graph.constants:
            return None
        maker = self._graph.producer.get(value)
        stored = maker.inputs[0] if maker and maker.op == "DequantizeLinear" else value
        array = self._graph.initializers.get(stored, self._computed.get(value))
        return array if array is not None and array.size > 1 else None
