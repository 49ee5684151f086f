"""Runtimes other than PyTorch: each runs a model's file and hands over arrays. One file a kind, named here.

Such a file has `record(job, progress)`: it runs what is asked for, writes the dump with an ArrayRecorder, and returns
notes for the user. Without the runtime's package it raises ProbeError that names the one command that installs it.
"""

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from probe.capture.arrays import EVERYTHING, WHOLE
from probe.capture.selection import Selection
from probe.dump.detail import Detail
from probe.errors import ProbeError
from probe.targets.inputs import InputRequest, given_ids
from probe.targets.plan import step_sizes
from probe.targets.recorded import recorded_sequence
from probe.targets.target import RUNTIMES, Target

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it, of how much (0: nobody knows)."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of a runtime."""

    target: Target
    """Its `arguments` are the options of --arg."""
    request: InputRequest
    path: Path
    """Where the dump goes."""
    decode: int | None = None
    chunk: int | None = None
    selection: Selection = EVERYTHING
    detail: Detail = WHOLE
    compress: bool = False
    force: bool = False

    def to_json(self) -> str:
        """For a process of its own."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def of_json(cls, text: str) -> "Job":
        """What `to_json` made."""
        data = json.loads(text)
        asked = data["request"]
        request = InputRequest(**{**asked, "prompts": tuple(asked["prompts"]), **_paths(asked, "tokens_file", "dump")})
        parts = {"target": Target(**data["target"]), "request": request, "path": Path(data["path"])}
        return cls(
            **{**data, **parts, "selection": Selection(**data["selection"]), "detail": Detail.of_json(data["detail"])}
        )

    def fed(self, vocabulary: int | None) -> tuple[dict[str, torch.Tensor], tuple[int, ...], int]:
        """What the model is fed, by names ("input_ids" [B, T] where the user gave tokens); the tokens of each step; and
        how many steps follow, of one token each that the model itself finds likeliest. ProbeError for ids outside of
        `vocabulary`."""
        request = self.request
        if request.prompts:
            raise ProbeError(
                f"--prompt has no effect on a {self.target.kind}: target",
                hint="record the reference with it, and give --inputs REF.h5; or --tokens",
            )
        recorded: tuple[int, ...] | None = None
        if request.dump is not None:
            sequence = recorded_sequence(request.dump)
            inputs, recorded = dict(sequence.inputs), sequence.sizes
        else:
            inputs = {"input_ids": given_ids(request, vocabulary)}
        ids = next(iter(inputs.values()))
        if not ids.numel():
            raise ProbeError("there is not one token to feed the model", hint="--tokens 1,2,3")
        if ids.is_floating_point() or not ids.dim():
            return inputs, (), 0
        _check(ids, vocabulary)
        return inputs, step_sizes(ids.shape[-1], recorded, self.decode, self.chunk), self._num_greedy(recorded)

    def _num_greedy(self, recorded: tuple[int, ...] | None) -> int:
        return self.decode or 0 if recorded is None else 0

    def options(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """--arg over the values that stand where none is given; each is of the same type. ProbeError for others."""
        chosen = dict(known)
        for name, value in self.target.arguments.items():
            if name not in known:
                raise ProbeError(
                    f"a {self.target.kind}: target has no option {name!r}", hint=f"--arg takes {', '.join(known)}"
                )
            if type(value) is not type(known[name]):
                meant = type(known[name]).__name__
                raise ProbeError(f"--arg {name}={value}: a {meant} is needed", hint=f"--arg {name}={known[name]}")
            chosen[name] = value
        return chosen


def _paths(data: Mapping[str, str | None], *names: str) -> dict[str, Path | None]:
    return {name: None if text is None else Path(text) for name in names for text in [data[name]]}


def record_runtime(job: Job, progress: Progress) -> list[str]:
    """Run and record; the notes."""
    notes: list[str] = importlib.import_module(RUNTIMES[job.target.kind]).record(job, progress)
    return notes


def _check(ids: torch.Tensor, vocabulary: int | None) -> None:
    """ProbeError for ids that cannot be looked up."""
    if vocabulary is None:
        return
    for end in (int(ids.min()), int(ids.max())):
        if not 0 <= end < vocabulary:
            hint = f"ids run from 0 to {vocabulary - 1}"
            raise ProbeError(f"token id {end} is outside the vocabulary of {vocabulary}", hint=hint)
