"""`onnx:FILE`: a graph in ONNX Runtime, with the value of every node recorded under the names of modules.

graph       the file; scopes: what the exporter wrote down of modules
session     ONNX Runtime
feeding     what the graph is fed
homes       the modules around each node; calls and boundary: their calls and ports
weights     constants as weights
taps        all of it as taps, in order
"""

from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.capture.arrays import ArrayRecorder
from probe.errors import ProbeError
from probe.targets.onnx.feeding import fed_to
from probe.targets.onnx.graph import read_graph
from probe.targets.onnx.homes import Homes, homes_of
from probe.targets.onnx.session import Session, distance, exposed
from probe.targets.onnx.taps import GraphTap, taps_of
from probe.targets.onnx.weights import Weights
from probe.targets.runtime import Job, Progress

PACKAGES = ("onnx", "onnxruntime")
INSTALL = "pip install 'layer-probe[onnx]'"
OPTIONS = {"threads": 1}


def record(job: Job, progress: Progress) -> list[str]:
    """Run the graph and record it; the notes. ProbeError where it cannot be run so."""
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ProbeError(f"an onnx: target needs {' and '.join(missing)}", hint=INSTALL)
    options = job.options(OPTIONS)
    progress("reading the graph", 0, 0)
    graph = read_graph(Path(job.target.place))
    given, _, _ = job.fed(None)
    fed, notes = fed_to(graph.inputs, given)
    progress("running the graph", 0, 0)
    values = Session(exposed(graph), threads=options["threads"], optimize=False).run(fed, graph.values)
    plain = Session(graph.proto, threads=options["threads"], optimize=True).run(fed, graph.outputs)
    moved = max(distance(plain[name], values[name]) for name in graph.outputs)
    notes.append(f"with every value exposed the output is {moved:.1e} from that of the untouched graph")
    weights = Weights(graph, values)
    homes = homes_of(graph, weights)
    tensors = {name: torch.from_numpy(array) for name, array in (values | fed).items()}
    with ArrayRecorder(
        job.path,
        weights=_tensors(homes, weights),
        about=_about(job, options, moved),
        selection=job.selection,
        detail=job.detail,
        compress=job.compress,
        force=job.force,
    ) as arrays:
        arrays.feed(0, {name: tensors[name] for name in fed})
        for tap in taps_of(graph, homes, weights, values | fed):
            arrays.add(0, tap.module, tap.kind, tap.port, _tensor(tap, tensors), tap.call)
    return notes


def _tensor(tap: GraphTap, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    if isinstance(tap.value, float):
        return torch.tensor(tap.value, dtype=torch.float64)
    return tensors[tap.value].mT.contiguous() if tap.is_turned else tensors[tap.value]


def _tensors(homes: Homes, weights: Weights) -> Iterator[tuple[str, torch.Tensor]]:
    """A weight that several modules use is one tensor."""
    known: dict[str, torch.Tensor] = {}
    for name, use in homes.weights.items():
        if use.value not in known:
            array = weights.array(use)
            if array is None:
                continue
            known[use.value] = torch.from_numpy(np.ascontiguousarray(array))
        yield name, known[use.value]


def _about(job: Job, options: Mapping[str, Any], moved: float) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("layer-probe", *PACKAGES, "torch", "numpy", "h5py")}
    return {
        "target": {"kind": "onnx", "place": job.target.place, "arguments": dict(job.target.arguments)},
        "environment": {
            "versions": versions,
            "device": "cpu",
            "num_threads": options["threads"],
            "moved_by_exposing": moved,
        },
        "config": None,
    }
