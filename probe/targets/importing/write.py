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
from probe.dump.detail import Detail
from probe.errors import ProbeError
from probe.targets.importing.folder import sources
from probe.targets.importing.key import Key, Role
from probe.targets.importing.plan import Plan, as_weights, planned, read_order
from probe.targets.importing.source import RAW, Buffer, Opened

Progress = Callable[[str, int, int], None]
Ready = list[tuple[Key, Opened]]
PAST = "past"
"""The input that is no tensor of the model: how many tokens it held in its cache before a step."""


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
    selection: Selection = EVERYTHING
    detail: Detail = WHOLE
    compress: bool = False
    force: bool = False


def import_arrays(job: ImportJob, progress: Progress) -> list[str]:
    """Write the dump; the notes. ProbeError, and no file, where anything cannot be understood."""
    progress("looking at the arrays", 0, 0)
    if job.dtype is not None and job.dtype not in RAW:
        raise ProbeError(f"--dtype {job.dtype} is no type of raw numbers", hint=f"one of {', '.join(RAW)}")
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
        ) as recorder,
    ):
        _write(recorder, taps, inputs, progress)
    return _notes(plan, bool(weights), num_others, recorder.skipped)


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
    return ((key.name, tensor) for key, _, tensor in _ahead(weights))


def _write(recorder: ArrayRecorder, taps: Ready, inputs: Ready, progress: Progress) -> None:
    total, done = sum(opened.num_bytes for _, opened in taps), 0
    for step in dict.fromkeys(key.step for key, _ in sorted((*inputs, *taps), key=lambda one: one[0].step)):
        fed = {key.name: opened.read(Buffer()) for key, opened in inputs if key.step == step}
        recorder.feed(step, fed, _past(fed.pop(PAST, None), step))
    for number, (key, num_bytes, tensor) in enumerate(_ahead(taps)):
        progress(f"importing ({number} of {len(taps)} arrays)", done, total)
        recorder.add(key.step, key.name, key.kind, key.port, tensor, key.call)
        done += num_bytes


def _ahead(ready: Ready) -> Iterator[tuple[Key, int, torch.Tensor]]:
    """Each array with its size in bytes, good until the next one is asked for: that is read meanwhile, by a thread."""
    buffers = Buffer(), Buffer()
    with ThreadPoolExecutor(1, "probe-reader") as reader:
        coming = [reader.submit(opened.read, buffers[0]) for _, opened in ready[:1]]
        for number, (key, opened) in enumerate(ready):
            tensor = coming.pop().result()
            coming += [
                reader.submit(other.read, buffers[1 - number % 2]) for _, other in ready[number + 1 : number + 2]
            ]
            yield key, opened.num_bytes, tensor


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
    """What it ran on is not known: nothing is said of device and dtype."""
    imported = {"format": job.kind, "from": str(job.path.resolve()), "arrays": num_taps}
    return {"imported": imported, "versions": {"layer-probe": versions()["layer-probe"]}}


def _notes(plan: Plan, has_weights: bool, num_others: int, skipped: Mapping[str, str]) -> list[str]:
    notes = []
    if num_others:
        notes.append(f"{num_others} files of other kinds were passed over")
    if plan.ordered_by not in ("--order", "their numbers"):
        notes.append(
            f"the order of execution is taken from {plan.ordered_by}: number the arrays (0003_model.norm) or give "
            "--order FILE if that is not it"
        )
    if not plan.inputs:
        notes.append(
            "nothing tells what the model was fed, so that a diff cannot hold it against the reference's: "
            "--input input_ids=KEY, or keys that begin with inputs/"
        )
    steps = {key.step for key, _ in plan.taps}
    if len(steps) > 1 and not any(key.name == PAST for key, _ in plan.inputs):
        notes.append(
            f"its {len(steps)} steps count as runs of their own: step1/inputs/{PAST}, how many tokens the cache held "
            "before the step, makes them one sequence"
        )
    if not has_weights:
        notes.append("without weights a diff pairs taps by names and order: --weights FILE, or keys under weights/")
    if skipped:
        name, reason = next(iter(skipped.items()))
        notes.append(f"{len(skipped)} arrays were left out, as {name}: {reason}")
    return notes
