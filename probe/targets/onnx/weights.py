"""What a graph holds as weights: which constants its nodes compute with, under the names of the modules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.homes import Home

MATRICES = {"MatMul": (1,), "FusedMatMul": (1,), "Gemm": (1, 2), "FusedGemm": (1, 2), "Conv": (1, 2), "Gather": (0,)}
"""Inputs of products that are weights, if they are constant: a matrix, and for some a bias."""


@dataclass(frozen=True, slots=True)
class Use:
    value: str
    parameter: str
    """ "weight" or "bias", where the file has no better name."""


class Weights:
    """Which node uses which constants as weights."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._uses = [tuple(self._found(node)) for node in graph.nodes]

    def uses(self, node: Node) -> tuple[str, ...]:
        return tuple(use.value for use in self._uses[node.index])

    def named(self, homes: Sequence[Home], values: Mapping[str, Array]) -> Iterator[tuple[str, torch.Tensor]]:
        """Every weight as it is stored, under its own name if that is the module's, else `<module>.weight`.

        `values` are those of the nodes that compute constants.
        """
        tensors: dict[str, torch.Tensor] = {}
        taken: set[str] = set()
        for node in self._graph.nodes:
            for use in self._uses[node.index]:
                module = homes[node.index][-1][0] if homes[node.index] else ""
                name = self._name(module, use)
                if name not in taken:
                    taken.add(name)
                    array = self._graph.initializers.get(use.value, values.get(use.value))
                    assert array is not None
                    if use.value not in tensors:
                        tensors[use.value] = torch.from_numpy(np.ascontiguousarray(array))
                    yield name, tensors[use.value]

    def _found(self, node: Node) -> Iterator[Use]:
        if all(value in self._graph.constants for value in node.inputs):
            return
        for place, value in enumerate(node.inputs):
            array = self._graph.initializers.get(value)
            if array is None or array.size < 2 or array.dtype.kind != "f":
                continue
            if place in MATRICES.get(node.op, ()) or array.ndim == 1 or node.op.endswith("Normalization"):
                yield Use(value, "bias" if node.op == "Add" or place == 2 else "weight")

    def _name(self, module: str, use: Use) -> str:
        inside, _, parameter = use.value.rpartition(".")
        dot = f"{module}." if module else ""
        return use.value if inside == module and parameter else f"{dot}{use.parameter}"
