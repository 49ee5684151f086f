"""How the audit's tests record two models and audit them."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

import probe
from probe.align.audit import audit
from probe.align.pairs import align
from probe.report import WeightFinding


def record(model: nn.Module, inputs: dict[str, torch.Tensor], path: Path) -> Path:
    dtype = next(model.parameters()).dtype
    given = {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.no_grad(), probe.record(model, path, force=True):
        model(**given)
    return path


def audited(reference: Path, candidate: Path) -> tuple[WeightFinding, ...]:
    with probe.open(reference) as ours, probe.open(candidate) as theirs:
        return audit(ours, theirs, align(ours, theirs))


def suspicious(findings: tuple[WeightFinding, ...]) -> list[WeightFinding]:
    return [finding for finding in findings if finding.suspicious]


def counts(findings: tuple[WeightFinding, ...]) -> dict[str, int]:
    """Weights by kind."""
    found: dict[str, int] = {}
    for finding in findings:
        found[finding.kind] = found.get(finding.kind, 0) + len(finding.weights)
    return found


class Auditor:
    """Records a reference once, and audits candidates against it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._recorded: Any = None

    def __call__(
        self,
        reference: nn.Module,
        candidate: nn.Module,
        inputs: dict[str, torch.Tensor],
        candidate_inputs: dict[str, torch.Tensor] | None = None,
    ) -> tuple[WeightFinding, ...]:
        if self._recorded is not reference:
            record(reference, inputs, self._folder / "reference.h5")
            self._recorded = reference
        record(candidate, candidate_inputs or inputs, self._folder / "candidate.h5")
        return audited(self._folder / "reference.h5", self._folder / "candidate.h5")
