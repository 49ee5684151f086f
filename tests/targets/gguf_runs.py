"""Runs of GGUF files in the tests' own process."""

from pathlib import Path

import torch

from probe.dump import Dump
from probe.targets.gguf.play import play
from probe.targets.inputs import InputRequest
from probe.targets.runtime import Job
from probe.targets.target import Target
from tests.converted.convert import contents, write
from tests.converted.models import tiny, tokens


def file_of(name: str, folder: Path, **how: object) -> Path:
    """The GGUF file of a tiny model."""
    return write(contents(tiny(name)), folder / f"{name}.gguf", **how)


def job_of(path: Path, ids: torch.Tensor | Path | str, options: dict[str, object] | None = None, **how: object) -> Job:
    """`ids` are tokens [1, T], as text too, or another run's dump."""
    if isinstance(ids, Path):
        request = InputRequest(dump=ids)
    else:
        request = InputRequest(tokens=ids if isinstance(ids, str) else ",".join(map(str, ids[0].tolist())))
    target = Target("gguf", str(path), {"threads": 1} | (options or {}))
    return Job(target, request, path.with_suffix(".h5"), force=True, **how)


def dumped(
    path: Path, ids: torch.Tensor | Path | str | None = None, options: dict[str, object] | None = None, **how: object
) -> Dump:
    """The dump of a file's run on ten tokens, or those."""
    job = job_of(path, tokens(10) if ids is None else ids, options, **how)
    play(job, lambda *_: None)
    return Dump(job.path)
