"""What the candidate had elsewhere: a little before a place, other tensors that a port may have taken by mistake."""

from collections.abc import Callable, Mapping

import torch

from probe.align.mapping import Mapping as Taps
from probe.align.mapping import Pair, candidate_values
from probe.dump import Dump
from probe.replay.meeting import Meeting

MOST = 12
"""Taps of one shape; a layer of a decoder has eight of the residual stream's."""


def reader(candidate: Dump, taps: Taps, meeting: Meeting) -> Callable[[], Mapping[str, torch.Tensor]]:
    """Reads them when it is called, the nearest first, by the reference's names."""
    place = meeting.pair.reference

    def is_before(pair: Pair) -> bool:
        tap = pair.reference
        return pair.firm and (tap.step, tap.shape) == (place.step, place.shape) and tap.order < place.order

    def read() -> dict[str, torch.Tensor]:
        nearest = sorted(filter(is_before, taps.pairs), key=lambda pair: -pair.reference.order)[:MOST]
        return {
            pair.reference.name: torch.from_numpy(candidate_values(pair, candidate, meeting.kept).copy())
            for pair in nearest
        }

    return read


def tap_reader(candidate: Dump, taps: Taps, meeting: Meeting) -> Callable[[str], torch.Tensor | None]:
    """Reads, when it is called, what the candidate had at one of the reference's taps; None of one without a pair."""

    def read(name: str) -> torch.Tensor | None:
        pair = next((pair for pair in taps.pairs if pair.reference.name == name and pair.firm), None)
        if pair is None:
            return None
        values = candidate_values(pair, candidate, meeting.kept).copy()
        return torch.from_numpy(values).reshape(pair.reference.shape)

    return read
