"""A port that multiplies its embeddings after the point where they are tapped: two places that are one difference.

At the embedding it lacks the reference's scale, and at the next place it has one that the reference has not there. What
the two make together is the port's scale; it may be the reference's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from probe.align.layouts import number_kind
from probe.diagnose.embedding_scale import roundings
from probe.diagnose.merge import Part
from probe.diagnose.planting import Planting
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.replay.local_error import LocalError
from probe.replay.program import Edit

ROUNDINGS = 4.0
"""Of the candidate's dtype: how far apart two scales may be that are one; one is rounded, and both are fitted."""
LEAST = 1e-6
"""Relative: as far as a fit goes."""
Explained = Mapping[int, tuple[Part, ...]]


def joined(explained: Explained, places: Sequence[LocalError]) -> tuple[Explained, list[LocalError]]:
    """What explains places, by their ids, and the places that are still at fault.

    Where only one of two such places shows a scale, that scale explains neither.
    """
    known = dict(explained)
    settled: set[int] = set()
    for first in (place for place in places if number_kind(place.pair.reference.dtype) == "float"):
        for second in places:
            if second.taps != {first.pair.reference.name}:
                continue
            parts = _scale(known.get(id(first))), _scale(known.get(id(second)))
            for place, part in zip((first, second), parts, strict=True):
                if part is not None:
                    del known[id(place)]
            if parts[0] is not None and parts[1] is not None:
                whole = _together(parts[0], parts[1])
                known |= {id(first): (whole,)} if whole else {}
                settled |= {id(second)} if whole else {id(first), id(second)}
    return known, [place for place in places if id(place) not in settled]


def _scale(parts: tuple[Part, ...] | None) -> Part | None:
    """The scale that explains a place alone."""
    return parts[0] if parts and len(parts) == 1 and parts[0].cause in ("embed.scale", "embed.rounding") else None


def _together(first: Part, second: Part) -> Part | None:
    """The scale that a port has in all; None where it is the reference's."""
    ours = _number(first.reference_value)
    later = _number(second.candidate_value) / _number(second.reference_value)
    theirs = _number(first.candidate_value) * later
    dtype = first.place.pair.sources[0].tap.dtype
    near = max(LEAST, ROUNDINGS * UNIT_ROUNDOFF.get(dtype, 0.0))
    if abs(theirs / ours - 1) <= near:
        return None
    edits = tuple((place, name, _then(edit, later)) for place, name, edit in first.planting.edits)
    rounded = next((n for n, value in roundings(ours).items() if abs(theirs / ours / value - 1) <= near), None)
    message = f"embeddings are multiplied by {theirs:.6g}, after they are looked up, where the reference has {ours:.6g}"
    return replace(
        first,
        cause="embed.rounding" if rounded else "embed.scale",
        candidate_value=theirs,
        message=f"{message}: look for a scale that is rounded, left out or applied twice",
        planting=Planting(edits, first.planting.weights, first.planting.taps),
    )


def _number(value: float | str | None) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def _then(edit: Edit, factor: float) -> Edit:
    def after(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return edit(function, args, kwargs) * factor

    return after
