"""What goes wrong with graphs after their export: each function changes an onnx.ModelProto in place."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

SCOPES = "pkg.torch.onnx.name_scopes"


def of_module(proto: Any, module: str, op: str) -> Any:
    """The first node of an operation with a constant, in the module whose name ends so."""
    known = initializers(proto)
    for node in proto.graph.node:
        scopes = next((one.value for one in node.metadata_props if one.key == SCOPES), "")
        if node.op_type == op and f"{module}'" in scopes and any(value in known for value in node.input):
            return node
    raise AssertionError(f"no {op} in {module}")


def initializers(proto: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def put(proto: Any, name: str, array: np.ndarray) -> None:
    initializers(proto)[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def array_of(proto: Any, name: str) -> np.ndarray:
    return numpy_helper.to_array(initializers(proto)[name]).copy()


def edited_eps(proto: Any, module: str, eps: float = 1e-4) -> None:
    """Of a norm that is written out."""
    node = of_module(proto, module, "Add")
    known = initializers(proto)
    place = next(place for place, value in enumerate(node.input) if value in known)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(eps, np.float32), "edited_eps"))
    node.input[place] = "edited_eps"


def transposed(proto: Any, module: str) -> None:
    name = of_module(proto, module, "MatMul").input[1]
    put(proto, name, array_of(proto, name).T)


def swapped(proto: Any, module: str, other: str, op: str = "MatMul") -> None:
    names = []
    for one in (module, other):
        node = of_module(proto, one, op)
        names.append(next(value for value in node.input if value in initializers(proto)))
    arrays = [array_of(proto, name) for name in names]
    for name, array in zip(names, reversed(arrays), strict=True):
        put(proto, name, array)


def nameless(proto: Any) -> None:
    """What an optimizer leaves of an exporter's notes."""
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("name")


def dynamic(graph: Path, path: Path) -> Path:
    """int8, a scale for each output; what is multiplied by it is rounded too."""
    quantize_dynamic(graph, path, weight_type=QuantType.QInt8, per_channel=True)
    return path


def static(graph: Path, path: Path) -> Path:
    """int8 in QDQ form, the products alone."""

    class Calibration(CalibrationDataReader):
        def __init__(self) -> None:
            ids_BT = np.random.default_rng(0).integers(3, 256, (2, 20))
            self._batches = iter([{"input_ids": ids_BT, "attention_mask": np.ones_like(ids_BT)}])

        def get_next(self) -> Any:
            return next(self._batches, None)

    quantize_static(graph, path, Calibration(), per_channel=True, op_types_to_quantize=["MatMul"])
    return path


def four_bits(graph: Path, path: Path) -> Path:
    quantizer = MatMulNBitsQuantizer(onnx.load(graph), block_size=32, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))
    return path


def wrong_scale(proto: Any, product: str, factor: float) -> None:
    """Of a matrix that was quantized for a MatMulInteger, called as the product was that it took the place of."""
    node = next(
        node for node in proto.graph.node if node.op_type == "MatMulInteger" and node.name == f"{product}_quant"
    )
    name = node.input[1].replace("_quantized", "_scale")
    put(proto, name, array_of(proto, name) * np.float32(factor))
