"""A transformers model and llama.cpp's run of its conversion, recorded and compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import probe
from probe.report import Report
from probe.targets.gguf.play import play
from probe.targets.inputs import InputRequest
from probe.targets.runtime import Job
from probe.targets.target import Target
from tests.converted.convert import Contents, contents, write
from tests.converted.models import tiny, tokens

REFERENCE, CANDIDATE = "reference.h5", "candidate.h5"


def recorded(
    name: str,
    folder: Path,
    *,
    kind: str = "F32",
    width: int = 64,
    seed: int = 0,
    num_tokens: int = 24,
    change: Callable[[Contents], None] = lambda file: None,
    **options: Any,
) -> torch.nn.Module:
    """The model; `folder` holds both dumps then. `change` plants a bug into the file."""
    model = tiny(name, seed, width)
    file = contents(model)
    change(file)
    with torch.no_grad(), probe.record(model, folder / REFERENCE, force=True):
        model(input_ids=tokens(num_tokens, seed))
    target = Target("gguf", str(write(file, folder / "model.gguf", kind)), {"threads": 1, **options})
    play(Job(target, InputRequest(dump=folder / REFERENCE), folder / CANDIDATE, force=True), lambda *_: None)
    return model


def compared(name: str, folder: Path, **how: Any) -> Report:
    """The report of both; `how` as of `recorded`."""
    model = recorded(name, folder, **how)
    return probe.diff(folder / REFERENCE, folder / CANDIDATE, reference=model)
