"""From local errors to places at fault, and from places to findings: one bug in many layers is one finding."""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from probe.replay.local_error import LocalError, StepError
from probe.report import Finding, Place
from probe.tap import template

ABOVE_FLOOR = 4.0
"""Ratio of local error to floor from which a place is at fault.

The largest that an honest run reached in `make zoo` (20 architectures, eager against sdpa, independent ports, fp32,
bf16 and fp16) is 1.3; a bf16 kernel with split accumulation reaches 1.4, and 3.1 at its worst token.
"""


def at_fault(error: LocalError) -> bool:
    """NaN on one side alone has an infinite error and is at fault; what a model was fed is no fault of its own."""
    if error.pair.reference.module == "" and error.pair.reference.is_input:
        return False
    return error.pair.firm and not error.elsewhere and error.ratio > ABOVE_FLOOR


def places_at_fault(errors: Sequence[LocalError], beneath: Collection[LocalError] = ()) -> list[LocalError]:
    """All places with an error of their own, in order of execution; those `beneath` their floor are known to have one.

    A place is left out where an earlier one at fault explains it: computed from the same taps and more, with some of
    the same code. Where a residual stream could not be paired, an error in it would else be found again at every layer.
    """
    places: list[LocalError] = []
    for error in errors:
        if error in beneath:
            places.append(error)
        if not at_fault(error):
            continue
        if not any(earlier.taps <= error.taps and earlier.code & error.code for earlier in places):
            places.append(error)
    return places


def narrowed(errors: Sequence[LocalError]) -> tuple[LocalError, ...]:
    """`errors`, in order of execution, of which those at fault say which function between modules differs first.

    That is one whose caller's code computed the tap at fault, from some of the same taps.
    """
    functions: dict[int, list[LocalError]] = defaultdict(list)
    found = []
    for error in errors:
        tap = error.pair.reference
        if tap.is_functional:
            if error.ratio > ABOVE_FLOOR:
                functions[tap.step].append(error)
            found.append(error)
            continue
        inner = (
            one.pair.reference.name
            for one in functions[tap.step]
            if one.taps <= error.taps and one.pair.reference.owner in error.code
        )
        found.append(replace(error, seen_at=next(inner, "")) if at_fault(error) else error)
    return tuple(found)


def first_place(places: Sequence[LocalError]) -> Place | None:
    """Where the candidate first does something of its own."""
    if not places:
        return None
    first, tap = places[0], places[0].pair.reference
    onset = first_step(first)
    since = first.seen_at, (first.span_start, tap.name)
    if onset is not None:
        norm = onset.norm or 1.0
        return Place(first.module, tap.name, onset.step, onset.error / norm, onset.floor / norm, onset.ratio, *since)
    sizes = relative(first.error, first), relative(first.floor, first)
    return Place(first.module, tap.name, tap.step, *sizes, first.ratio, *since)


def first_step(error: LocalError) -> StepError | None:
    """Of a sequence, the first step at fault; None where it is one step, or none by itself."""
    return next((step for step in error.steps if step.ratio > ABOVE_FLOOR), None)


def findings(places: Sequence[LocalError]) -> tuple[Finding, ...]:
    """One finding of unknown cause for each kind of place: the same module and port in several layers is one."""
    kinds: dict[tuple[str, str], list[LocalError]] = defaultdict(list)
    for place in places:
        kinds[template(place.module)[0], _kind(place)].append(place)
    merged: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for alike in kinds.values():
        found = _finding(alike)
        merged.setdefault((template(found.module)[0], found.modules), found)
    return tuple(merged.values())


def relative(size: float, error: LocalError) -> float:
    """A norm, relative to that of the tap."""
    return size / error.norm if error.norm else size


def _kind(error: LocalError) -> str:
    """The tap's name with layer indices as {i}, so that o_proj:in of all layers is one kind."""
    tap = error.pair.reference
    return f"{template(tap.module)[0]}:{tap.port}"


def _finding(places: list[LocalError]) -> Finding:
    first = places[0]
    modules = tuple(dict.fromkeys(place.module for place in places))
    start, end = first.span_start or "the inputs", first.pair.reference.name
    size = relative(first.error, first)
    if math.isfinite(size):
        what = f"an error of its own, {size:.1e} of the tap and {_times(first.ratio)} times what {_floor(first)}"
    else:
        what = "a NaN or an infinity that the other side has not"
    many = f"; {len(modules) - 1} more modules like it do the same" if len(modules) > 1 else ""
    seen = f"; first seen at {first.seen_at}" if first.seen_at else ""
    message = f"{what}, arises between {start} and {end}{seen}{_since(first)}{many}"
    return Finding("unknown", first.module, modules, (start, end), message, error_before=size, seen_at=first.seen_at)


def _since(error: LocalError) -> str:
    """Where steps before the first at fault are in order: the bug is one of the cache, or of decoding."""
    onset = first_step(error)
    return f", from step {onset.step} on: what the steps before computed is right" if onset and onset.start else ""


def _floor(error: LocalError) -> str:
    return "its own repetition shows" if error.repetition >= error.floor else "rounding causes"


def _times(ratio: float) -> str:
    """Two digits: 602579 as "600,000"."""
    digits = 1 - math.floor(math.log10(ratio))
    return f"{round(ratio, digits):,.0f}" if ratio >= 10 else f"{ratio:.1f}"
