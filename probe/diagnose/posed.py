"""A place that a replay has met, posed as a case."""

import torch
from torch import nn

from probe.diagnose.case import Audited, Case
from probe.diagnose.hypothesis import UNFIT
from probe.replay.local_error import LocalError
from probe.replay.meeting import Meeting


def case_of(
    model: nn.Module,
    meeting: Meeting,
    error: LocalError,
    rounded: torch.Tensor | None,
    audited: Audited,
) -> Case | None:
    """None where nothing can be tried: a computation that gives another result when it is run again."""
    exact, program = meeting.computed, meeting.program
    if meeting.candidate is None or program is None:
        return None
    candidate = torch.from_numpy(meeting.candidate.copy()).reshape(exact.shape).to(exact.device)
    kept = None if meeting.compared is None else torch.from_numpy(meeting.compared)
    low = None if rounded is None else rounded.reshape(exact.shape).to(exact.dtype)
    try:
        again = program.value(program.result)
    except UNFIT:
        return None
    if again.shape != exact.shape or not _is_same(again, exact):
        return None
    return Case(model, error, program, exact, candidate.to(exact.dtype), low, kept, audited)


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return torch.equal(one, other) or torch.allclose(one.double(), other.double(), 1e-9, 1e-12, equal_nan=True)
