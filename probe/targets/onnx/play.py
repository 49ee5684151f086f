"""A graph's run from the job to the dump."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe import __version__ as probe_version
from probe.capture.arrays import ArrayRecorder
from probe.errors import ProbeError
from probe.targets.onnx.caches import Caches
from probe.targets.onnx.feeding import as_arrays, complete, vocabulary
from probe.targets.onnx.graph import Array, read_graph
from probe.targets.onnx.homes import Homes, homes_of
from probe.targets.onnx.session import Session, distance, exposed
from probe.targets.onnx.taps import GraphTap, taps_of
from probe.targets.onnx.weights import Weights
from probe.targets.runtime import Job, Progress
from probe.targets.sequence import grown, part
from probe.targets.trusted import sign

OPTIONS = {"threads": 0}
"""0: as many as ONNX Runtime takes."""


def play(job: Job, progress: Progress) -> list[str]:
    """Run it step by step and write the dump; notes. ProbeError where it cannot be run so."""
    options = job.options(OPTIONS)
    progress("reading the graph", 0, 0)
    graph = read_graph(Path(job.target.place))
    caches = Caches(graph)
    given, sizes, num_greedy = job.fed(vocabulary(graph))
    free = [one for one in graph.inputs if one not in caches.taken]
    fed, ids, notes = complete(free, given)
    steps, more = _steps(job, caches, fed[ids], sizes, num_greedy)
    progress("loading the graph", 0, 0)
    plain = Session(graph.proto, threads=options["threads"], optimize=True)
    session = Session(exposed(graph), threads=options["threads"], optimize=False)
    past, cache = 0, caches.empty(fed[ids].shape[0])
    first = as_arrays(free, part(fed, ids, 0, steps[0]) if steps else fed) | cache
    progress("running step 0", 0, 0)
    values = session.run(first, graph.values)
    untouched = plain.run(first, graph.outputs)
    moved = max(distance(untouched[name], values[name]) for name in graph.outputs)
    notes += [*more, f"with every value exposed the output is {moved:.1e} from that of the untouched graph"]
    weights = Weights(graph, values)
    homes = homes_of(graph, weights)
    with ArrayRecorder(
        job.path,
        weights=_tensors(homes, weights),
        about={"target": sign(job.target), "environment": _environment(options, moved), "config": None},
        selection=job.selection,
        detail=job.detail,
        compress=job.compress,
        force=job.force,
    ) as recorder:
        for step, size in enumerate(steps or (0,)):
            if step:
                if past == fed[ids].shape[-1]:
                    fed = grown(fed, ids, _likeliest(values[graph.outputs[0]]))
                arrays = as_arrays(free, part(fed, ids, past, past + size)) | cache
                progress(f"running step {step}", 0, 0)
                values = session.run(arrays, graph.values)
            else:
                arrays = first
            progress(f"writing step {step}", 0, 0)
            tensors = {name: torch.from_numpy(array) for name, array in (values | arrays).items()}
            recorder.feed(step, {name: tensors[name] for name in fed}, past)
            for tap in taps_of(graph, homes, weights, values | arrays):
                recorder.add(step, tap.module, tap.kind, tap.port, _tensor(tap, tensors), tap.call)
            past, cache = past + size, caches.after(values)
    return notes


def _steps(
    job: Job, caches: Caches, ids: torch.Tensor, sizes: tuple[int, ...], num_greedy: int
) -> tuple[Sequence[int], list[str]]:
    """Tokens of each step, none for what has no tokens; and notes. ProbeError where a step cannot go on."""
    if caches.taken or len(sizes) + num_greedy <= 1:
        return [*sizes, *[1] * num_greedy], []
    if job.decode or job.chunk is not None:
        raise ProbeError(
            "the graph takes no cache (past_key_values...), so no step can go on from another",
            hint="a whole text in one call: the same command without --decode and --chunk",
        )
    num_tokens = ids.shape[-1]
    return [num_tokens], [f"the graph has no cache to hand on: one prefill of all {num_tokens} tokens instead"]


def _likeliest(logits_BTV: Array) -> torch.Tensor:
    """[B, 1]"""
    return torch.from_numpy(logits_BTV[:, -1:].argmax(-1))


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


def _environment(options: Mapping[str, Any], moved: float) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("onnxruntime", "onnx", "torch", "numpy", "h5py")}
    return {
        "versions": {**versions, "layer-probe": probe_version, "python": platform.python_version()},
        "platform": platform.platform(),
        "device": "cpu",
        "num_threads": options["threads"],
        "moved_by_exposing": moved,
        "options": dict(options),
    }
