"""Some nodes of a graph, and others beside them, run as a graph of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.session import Session


def run_part(
    graph: Graph,
    stored: Mapping[str, Any],
    nodes: Sequence[Node],
    more: Sequence[Any],
    fed: Mapping[str, Array],
    outputs: Sequence[str],
) -> dict[str, Array]:
    """The values of `outputs`; `stored` are the initializers. ProbeError where ONNX Runtime refuses."""
    import onnx
    from onnx import helper

    own = [graph.proto.graph.node[node.index] for node in nodes]
    used = {value for node in (*own, *more) for value in node.input}
    made = {value for node in own for value in node.output}
    taken = [value for value in fed if value in used and value not in made]
    part = helper.make_graph(
        [*own, *more],
        "part",
        [_described(value, fed[value]) for value in taken],
        [onnx.ValueInfoProto(name=value) for value in outputs],
        [stored[value] for value in used if value in stored],
    )
    proto = onnx.ModelProto()
    proto.ir_version = graph.proto.ir_version
    proto.opset_import.extend(graph.proto.opset_import)
    proto.graph.CopyFrom(part)
    session = Session(proto, threads=1, optimize=False)
    return session.run({value: fed[value] for value in taken}, outputs)


def _described(name: str, array: Array) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
