"""An ONNX file as a graph: nodes, which values they exchange, and what is constant in it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.errors import ProbeError
from probe.targets.foreign import message
from probe.targets.onnx.scopes import Scope, scope_of

Array = NDArray[Any]
TENSORS = ("Range", "Expand", "ConstantOfShape", "Tile", "OneHot", "EyeLike")
"""Operations that make a tensor of a size."""
LONGEST_SHAPE = 16
"""Elements; of more, a constant is no shape."""


@dataclass(frozen=True, slots=True)
class Node:
    index: int
    """In the file's order, in which each node comes after those that it needs."""
    op: str
    domain: str
    """"" for ONNX's own operations."""
    name: str
    inputs: tuple[str, ...]
    """Names of values; "" where an optional one is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: Scope | None
    """The modules that it lies in, as the exporter wrote them down; None where it did not."""


@dataclass(frozen=True, slots=True)
class Fed:
    """An input of the graph."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]
    """A name, or None, where any size will do."""


class Graph:
    """The main graph; what runs inside an If or a Loop is not looked into."""

    def __init__(self, proto: Any) -> None:
        from onnx import helper, numpy_helper

        self.proto = proto
        """The onnx.ModelProto, with its external data read in."""
        graph = proto.graph
        self.initializers: dict[str, Array] = {one.name: numpy_helper.to_array(one).copy() for one in graph.initializer}
        self.nodes = tuple(
            Node(
                index,
                node.op_type,
                node.domain,
                node.name,
                tuple(node.input),
                tuple(node.output),
                {one.name: helper.get_attribute_value(one) for one in node.attribute},
                scope_of(node.name, {one.key: one.value for one in node.metadata_props}),
            )
            for index, node in enumerate(graph.node)
        )
        self.inputs = tuple(_fed(one) for one in graph.input if one.name not in self.initializers)
        self.outputs = tuple(one.name for one in graph.output)
        self.producer = {value: node for node in self.nodes for value in node.outputs if value}
        self.consumers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                self.consumers[value].append(node)

    @property
    def values(self) -> tuple[str, ...]:
        """What its nodes compute, in their order, and what it returns."""
        computed = (value for node in self.nodes for value in node.outputs if value)
        return tuple(dict.fromkeys([*computed, *self.outputs]))

    @cached_property
    def constants(self) -> frozenset[str]:
        """Values that no input moves."""
        found = {"", *self.initializers}
        for node in self.nodes:
            if all(value in found for value in node.inputs) and not node.op.startswith("Random"):
                found.update(node.outputs)
        return frozenset(found)

    @cached_property
    def sizes(self) -> frozenset[str]:
        """Values that are other values' shapes, or sums of such: no tensor is made of them."""
        found: set[str] = set()
        for node in self.nodes:
            given = [value for value in node.inputs if value not in self.constants]
            is_sum = node.op not in TENSORS and not any(self._is_table(value) for value in node.inputs)
            if node.op in ("Shape", "Size") or (given and is_sum and all(value in found for value in given)):
                found.update(node.outputs)
        return frozenset(found)

    def _is_table(self, value: str) -> bool:
        array = self.initializers.get(value)
        return array is not None and array.size > LONGEST_SHAPE

    def moves(self, value: str) -> bool:
        """Whether it depends on what the graph is fed, and is no shape."""
        return value not in self.constants and value not in self.sizes


def read_graph(path: Path) -> Graph:
    """ProbeError where it is no ONNX model, or its data cannot be read."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError) as error:
        raise ProbeError(f"{path} is no ONNX model: {message(error)}", hint="give the file that was exported") from None
    if not proto.graph.node:
        raise ProbeError(f"{path} is no ONNX model: it has no node", hint="give the file that was exported")
    _check_external(proto, path)
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
        if proto.functions:
            from onnx import inliner

            proto = inliner.inline_local_functions(proto)
        return Graph(proto)
    except (onnx.checker.ValidationError, OSError, ValueError, TypeError) as error:
        raise ProbeError(f"{path}: its weights cannot be read: {message(error)}", hint="export it again") from None


def _check_external(proto: Any, path: Path) -> None:
    """External data lie beside the model, or below."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    folder = path.parent.resolve()
    for tensor in proto.graph.initializer:
        if not uses_external_data(tensor):
            continue
        location = ExternalDataInfo(tensor).location
        place = (folder / location).resolve()
        if not place.is_relative_to(folder):
            raise ProbeError(
                f"{path}: the values of {tensor.name} are said to lie in {location}, outside of its folder",
                hint="only files beside the model are read: export it again",
            )
        if not place.is_file():
            raise ProbeError(
                f"{path}: the values of {tensor.name} are in {location}, which is not there",
                hint=f"put {location} beside the model",
            )


def _fed(value: Any) -> Fed:
    from onnx import helper

    kind = value.type.tensor_type
    shape = tuple(one.dim_value if one.HasField("dim_value") else one.dim_param or None for one in kind.shape.dim)
    return Fed(value.name, helper.tensor_dtype_to_np_dtype(kind.elem_type), shape)
