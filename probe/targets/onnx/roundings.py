"""Where a graph rounds what moves to whole numbers and back: pairs of QuantizeLinear and DequantizeLinear."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probe.targets.onnx.graph import Array, Graph, Node

WHOLE = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
"""The smallest and the largest number of each kind."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """round(given / scale) + zero, within the kind's limits; and (that - back_zero) * back_scale."""

    given: str
    """A value of the graph, and what becomes of it:"""
    returned: str
    kind: str
    scale: Array
    zero: Array
    back_scale: Array
    back_zero: Array

    @property
    def factor(self) -> float:
        """How many times too large it comes back."""
        return float((self.back_scale / self.scale).mean())

    @property
    def shift(self) -> float:
        """By how many whole numbers it comes back moved."""
        return float((self.zero.astype(np.float64) - self.back_zero).mean())

    @property
    def is_plain(self) -> bool:
        """Whether it comes back with the scale and the zero point that it went with."""
        return bool(np.all(self.scale == self.back_scale)) and bool(np.all(self.zero == self.back_zero))


def roundings_of(graph: Graph) -> Iterator[Rounding]:
    for node in graph.nodes:
        if node.op != "DequantizeLinear" or not graph.moves(node.outputs[0]):
            continue
        maker = graph.producer.get(node.inputs[0])
        found = _pair(graph, maker, node) if maker and maker.op == "QuantizeLinear" else None
        if found is not None:
            yield found


def _pair(graph: Graph, forth: Node, back: Node) -> Rounding | None:
    scales = [graph.initializers.get(node.inputs[1]) for node in (forth, back)]
    zeros = [graph.initializers.get(node.inputs[2]) if len(node.inputs) > 2 else None for node in (forth, back)]
    if scales[0] is None or scales[1] is None or scales[0].size != scales[1].size:
        return None
    kind = "uint8" if zeros[0] is None else str(zeros[0].dtype)
    whole = [np.zeros(1, np.int64) if zero is None else zero.astype(np.int64) for zero in zeros]
    if kind not in WHOLE:
        return None
    return Rounding(forth.inputs[0], back.outputs[0], kind, scales[0], whole[0], scales[1], whole[1])
