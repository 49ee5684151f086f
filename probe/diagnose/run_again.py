"""What the candidate's own file gives at a place, with and without its roundings, from the candidate's own tensors."""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Values

import numpy as np
import torch

from probe.align.mapping import Mapping, Numbers, Pair, candidate_values
from probe.diagnose.case import Case
from probe.dump import Dump
from probe.dump.view import View
from probe.replay.meeting import Meeting
from probe.tap import Tap
from probe.targets.rerun import Rerun, Rerunning, Rounded

Rerunner = Callable[[Case, bool], tuple[torch.Tensor, torch.Tensor, tuple[Rounded, ...]] | None]
"""What the candidate's file gives at a place as it is, and without its roundings; those. See Rerunning for the flag."""


def rerunner(candidate: Dump, taps: Mapping, meeting: Meeting, rerunning: Rerunning) -> Rerunner:
    """From the candidate's tensors at the taps that the reference starts from too."""
    place = meeting.pair

    def rerun(case: Case, mended: bool) -> tuple[torch.Tensor, torch.Tensor, tuple[Rounded, ...]] | None:
        starts = {leaf.name for leaf in case.program.leaves if not leaf.is_weight}
        used = [
            source.tap for pair in taps.pairs if pair.firm and pair.reference.name in starts for source in pair.sources
        ]
        used += [tap for tap in candidate.taps if not tap.module and tap.is_input]
        targets = [source.tap.name for source in place.sources]
        with torch._C.DisableTorchFunction():
            found = rerunning({tap.name: candidate.read(tap) for tap in used}, targets, mended)
            if found is None:
                return None
            as_it_is, unrounded = _brought(found, place, candidate, meeting, case)
            return as_it_is, unrounded, found.roundings

    return rerun


def _brought(found: Rerun, place: Pair, candidate: Dump, meeting: Meeting, case: Case) -> Iterator[torch.Tensor]:
    """As the reference has its axes."""
    for values in (found.as_it_is, found.unrounded):
        read = _Instead(candidate, values)
        brought = np.ascontiguousarray(candidate_values(place, read, meeting.kept))
        yield torch.from_numpy(brought).reshape(case.exact.shape).to(case.exact.dtype)


class _Instead(View):
    """A dump in which some taps have other values."""

    def __init__(self, recorded: Dump, values: Values[str, Numbers]) -> None:
        super().__init__(recorded)
        self._values = values

    def read(self, tap: Tap) -> Numbers:
        """As it was computed again."""
        return self._values[tap.name]
