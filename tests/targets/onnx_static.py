"""Graphs quantized statically, each operation of them (QDQ form), and what goes wrong with that: each plant changes an
onnx.ModelProto in place.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from tests.targets.onnx_plants import SCOPES, array_of, initializers, put


class Calibration(CalibrationDataReader):
    def __init__(self, batches: Iterable[Mapping[str, np.ndarray]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> Any:
        return next(self._batches, None)


def random_batches(num_batches: int = 4) -> Iterable[Mapping[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    for _ in range(num_batches):
        ids_BT = generator.integers(3, 256, (2, 20))
        yield {"input_ids": ids_BT, "attention_mask": np.ones_like(ids_BT)}


def static_whole(graph: Path, path: Path, batches: Any = None, *, with_masks: bool = False, **how: Any) -> Path:
    """All but what adds a mask, whose minus infinity no scale can hold, and the angles of rotations."""
    left_out = [] if with_masks else masks_and_angles(onnx.load(graph))
    quantize_static(graph, path, Calibration(batches or random_batches()), nodes_to_exclude=left_out, **how)
    return path


def masks_and_angles(proto: Any) -> list[str]:
    makers = {value: node for node in proto.graph.node for value in node.output}
    found = []
    for node in proto.graph.node:
        if node.op_type == "Softmax":
            found += [node.name, makers[node.input[0]].name]
        given = [makers[value].op_type for value in node.input if value in makers]
        if any("inv_freq" in value for value in node.input) or (node.op_type == "MatMul" and "Expand" in given):
            found.append(node.name)
    return found


def around(proto: Any, module: str) -> tuple[Any, Any]:
    """Of a module's product: the DequantizeLinear of its matrix, and that of what is multiplied by it."""
    makers = {value: node for node in proto.graph.node for value in node.output}
    for node in proto.graph.node:
        scopes = next((one.value for one in node.metadata_props if one.key == SCOPES), "")
        if node.op_type in ("MatMul", "Gemm") and f"{module}'" in scopes:
            given, matrix = (makers[value] for value in node.input[:2])
            return matrix, given
    raise AssertionError(f"no product in {module}")


def weight_scale(proto: Any, module: str, factor: float) -> None:
    matrix, _ = around(proto, module)
    put(proto, matrix.input[1], array_of(proto, matrix.input[1]) * np.float32(factor))


def weight_zero_point(proto: Any, module: str, steps: int) -> None:
    matrix, _ = around(proto, module)
    zero = array_of(proto, matrix.input[2])
    put(proto, matrix.input[2], (zero.astype(int) + steps).astype(zero.dtype))


def returned_scale(proto: Any, module: str, factor: float) -> None:
    """Of what is multiplied: quantized with one scale, dequantized with another."""
    _, given = around(proto, module)
    given.input[1] = _added(proto, array_of(proto, given.input[1]) * np.float32(factor))


def returned_zero_point(proto: Any, module: str, steps: int) -> None:
    _, given = around(proto, module)
    zero = array_of(proto, given.input[2])
    given.input[2] = _added(proto, (zero.astype(int) + steps).astype(zero.dtype))


def narrow_limits(proto: Any, module: str, factor: float) -> None:
    """Of what is multiplied: as if its calibration had seen smaller numbers."""
    _, given = around(proto, module)
    scale = _added(proto, array_of(proto, given.input[1]) * np.float32(factor))
    whole = given.input[0]
    for node in proto.graph.node:
        if whole in node.output or (node.op_type == "DequantizeLinear" and node.input[0] == whole):
            node.input[1] = scale


def matrices_exchanged(proto: Any, module: str, other: str) -> None:
    """With their scales and zero points."""
    one, two = (around(proto, name)[0] for name in (module, other))
    for place in range(3):
        first, second = array_of(proto, one.input[place]), array_of(proto, two.input[place])
        put(proto, one.input[place], second)
        put(proto, two.input[place], first)


def matrix_transposed(proto: Any, module: str) -> None:
    matrix, _ = around(proto, module)
    put(proto, matrix.input[0], array_of(proto, matrix.input[0]).T)


def _added(proto: Any, array: np.ndarray) -> str:
    name = f"planted_{len(initializers(proto))}"
    proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return name
