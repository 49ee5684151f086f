"""Running a graph in ONNX Runtime on the CPU: as it is, or with the value of every node as an output."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from probe.errors import ProbeError
from probe.targets.foreign import message
from probe.targets.onnx.graph import Array, Graph

Values = dict[str, Array]
LARGEST = 1_900_000_000
"""Bytes of weights in a model that is handed over in memory: protobuf ends at 2 GiB."""


class Session:
    """A graph that is ready to run. ProbeError where ONNX Runtime refuses it."""

    def __init__(self, proto: Any, *, threads: int, optimize: bool) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        with _refusing("ONNX Runtime refuses the graph"), _handed_over(proto) as model:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, fed: Mapping[str, Array], names: Sequence[str]) -> Values:
        """The values of these names; ProbeError where a node cannot be computed."""
        with _refusing("ONNX Runtime cannot run the graph"):
            found = self._session.run(list(names), dict(fed))
        return dict(zip(names, found, strict=True))


@contextmanager
def _handed_over(proto: Any) -> Iterator[bytes | str]:
    """A model as bytes; as a file that is gone afterwards, its weights beside it, where they are too large for that."""
    import onnx

    if sum(len(tensor.raw_data) for tensor in proto.graph.initializer) < LARGEST:
        yield proto.SerializeToString()
        return
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)  # what is saved so loses its weights
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        onnx.save(copy, path, save_as_external_data=True, location="weights")
        del copy
        yield path


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its exceptions have no common class
        raise ProbeError(f"{what}: {message(error)}", hint="is it a graph for the installed onnxruntime?") from None


def exposed(graph: Graph) -> Any:
    """A copy of the model whose outputs are the values of all its nodes."""
    import onnx

    proto = onnx.ModelProto()
    proto.CopyFrom(graph.proto)
    named = {one.name for one in proto.graph.output}
    for node in graph.nodes:
        for value in node.outputs:
            if value and value not in named:
                proto.graph.output.append(onnx.ValueInfoProto(name=value))  # untyped: ONNX Runtime finds out
                named.add(value)
    return proto


def distance(plain: Array, exposed: Array) -> float:
    """||exposed - plain|| / ||plain||: 0 where both are all zeros."""
    one, other = (array.astype(np.float64).ravel() for array in (plain, exposed))
    apart = float(np.linalg.norm(other - one))
    return apart / float(np.linalg.norm(one) or 1.0) if apart else 0.0
