"""The import itself: every array is opened once, to see that it can be stored; then each is read and written."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from probe.capture.arrays import EVERYTHING, WHOLE, ArrayRecorder
from probe.capture.environment import versions
from probe.capture.selection import Selection
from probe.capture.tensors import dtype_name, to_bits
from probe.dump.detail import Detail
from probe.dump.statistics import statistics
from probe.errors import ProbeError
from probe.tap import UNMEASURED, Statistics
from probe.targets.importing.folder import sources
from probe.targets.importing.key import Key, Role
from probe.targets.importing.notes import PAST, notes_of
from probe.targets.importing.plan import as_weights, planned, read_order
from probe.targets.importing.source import RAW, Buffer, Opened
from probe.targets.target import DTYPES

Progress = Callable[[str, int, int], None]
MOST_LOOKED_AT = 256
"""Arrays, whether they hold less than their type could."""
Ready = list[tuple[Key, Opened]]


@dataclass(frozen=True, slots=True)
class ImportJob:
    """What is asked for."""

    kind: str
    """"npz" or "safetensors"."""
    path: Path
    output: Path
    inputs: Mapping[str, str] = field(default_factory=dict)
    """By the name of what the model was fed, the key of the array."""
    order: Path | None = None
    weights: Path | None = None
    """A file or a folder of arrays whose keys are names of parameters."""
    dtype: str | None = None
    """A key of RAW: what raw bits are."""
    computed: str | None = None
    """A key of DTYPES: what the runtime computed in, where its arrays are wider."""
    selection: Selection = EVERYTHING
    detail: Detail = WHOLE
    compress: bool = False
    force: bool = False


def import_arrays(job: ImportJob, progress: Progress) -> list[str]:
    """Write the dump; the notes. ProbeError, and no file, where anything cannot be understood: it will not be the next
    time either. An interrupted import keeps `<output>.partial`, as an interrupted run does."""
    progress("looking at the arrays", 0, 0)
    if job.dtype is not None and job.dtype not in RAW:
        raise ProbeError(f"--dtype {job.dtype} is no type of raw numbers", hint=f"one of {', '.join(RAW)}")
    if job.computed is not None and job.computed not in DTYPES:
        raise ProbeError(f"--computed-in {job.computed} is no type to compute in", hint=f"one of {', '.join(DTYPES)}")
    found, num_others = sources(job.kind, job.path)
    plan = planned(found, job.selection, job.inputs, read_order(job.order) if job.order else None, job.kind)
    weights = (*plan.weights, *as_weights(_weight_sources(job.weights)))
    taps, inputs = _opened(plan.taps, job.dtype), _opened(plan.inputs, job.dtype)
    about = {"target": None, "environment": _environment(job, len(taps)), "config": None}
    with (
        torch.no_grad(),
        ArrayRecorder(
            job.output,
            weights=_read(_opened(weights, job.dtype)),
            about=about,
            selection=job.selection,
            detail=job.detail,
            compress=job.compress,
            force=job.force,
            lasting=True,
        ) as recorder,
    ):
        try:
            rounded = _write(recorder, taps, inputs, progress) and job.computed is None
        except ProbeError:
            recorder.discard()
            raise
    return notes_of(plan, bool(weights), num_others, recorder.skipped, rounded=rounded)


def _weight_sources(path: Path | None) -> list[Any]:
    if path is None:
        return []
    is_safe = path.suffix == ".safetensors" or (path.is_dir() and any(path.glob("*.safetensors")))
    return sources("safetensors" if is_safe else "npz", path)[0]


def _opened(named: Any, dtype: str | None) -> Ready:
    """Whole numbers without a sign are raw bits in taps and weights; of what a model is fed they may be tokens."""
    declared = RAW[dtype] if dtype else None
    return [(key, source.open(declared, key.role is not Role.INPUT)) for key, source in named]


def _read(weights: Ready) -> Iterator[tuple[str, torch.Tensor]]:
    return ((read.key.name, read.tensor) for read in _ahead(weights))


def _write(recorder: ArrayRecorder, taps: Ready, inputs: Ready, progress: Progress) -> bool:
    """Whether all float32 numbers that were looked at are bfloat16's."""
    total, done = sum(opened.num_bytes for _, opened in taps), 0
    wide, rounded = 0, 0
    for step in dict.fromkeys(key.step for key, _ in sorted((*inputs, *taps), key=lambda one: one[0].step)):
        fed = {key.name: opened.read(Buffer()) for key, opened in inputs if key.step == step}
        recorder.feed(step, fed, _past(fed.pop(PAST, None), step))
    for number, read in enumerate(_ahead(taps)):
        key, tensor = read.key, read.tensor
        progress(f"importing ({number} of {len(taps)} arrays)", done, total)
        recorder.add(key.step, key.name, key.kind, key.port, tensor, key.call, read.statistics)
        done += read.num_bytes
        if tensor.dtype == torch.float32 and tensor.numel() and number < MOST_LOOKED_AT:
            some = tensor.reshape(-1)[:1024]
            wide, rounded = wide + 1, rounded + torch.equal(some, some.bfloat16().float())
    return 0 < wide == rounded


@dataclass(frozen=True, slots=True)
class _Read:
    """An array that is in memory."""

    key: Key
    num_bytes: int
    tensor: torch.Tensor
    statistics: Statistics


def _ahead(ready: Ready) -> Iterator[_Read]:
    """Each array, good until the next but one is asked for: the next is read and measured meanwhile, by a thread."""
    buffers = Buffer(), Buffer(), Buffer()
    with ThreadPoolExecutor(1, "probe-reader") as reader:
        coming = [reader.submit(_measured, *ready[0], buffers[0])] if ready else []
        for number in range(len(ready)):
            read = coming.pop().result()
            if number + 1 < len(ready):
                coming = [reader.submit(_measured, *ready[number + 1], buffers[(number + 1) % len(buffers)])]
            yield read


def _measured(key: Key, opened: Opened, buffer: Buffer) -> _Read:
    """Measured where it was just read, if its numbers lie there as they will be stored."""
    tensor = opened.read(buffer)
    known = UNMEASURED
    if tensor.is_contiguous():
        known = statistics(to_bits(tensor).reshape(-1), dtype_name(tensor.dtype))
    return _Read(key, opened.num_bytes, tensor, known)


def _past(value: torch.Tensor | None, step: int) -> int:
    """One count, or one a sentence, all equal."""
    if value is None:
        return 0
    counts = set(value.reshape(-1)[:4096].tolist())
    count = counts.pop() if len(counts) == 1 else None
    if not isinstance(count, int) or not 0 <= count < 2**31:
        raise ProbeError(f"the input {PAST} of step {step} is not one number of tokens", hint="as np.int64(24)")
    return count


def _environment(job: ImportJob, num_taps: int) -> dict[str, Any]:
    """What it ran on is not known: nothing is said of its device, nor of its dtype unless the user does."""
    imported = {"format": job.kind, "from": str(job.path.resolve()), "arrays": num_taps}
    told = {"dtype": dtype_name(DTYPES[job.computed])} if job.computed else {}
    return {"imported": imported, "versions": {"layer-probe": versions()["layer-probe"]}, **told}
