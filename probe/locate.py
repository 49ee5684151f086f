"""From local errors to places at fault, and from places to findings: one bug in many layers is one finding."""

from collections import defaultdict
from collections.abc import Sequence

from probe.replay.local_error import LocalError
from probe.report import Finding, Place
from probe.tap import template

ABOVE_FLOOR = 4.0
"""Ratio of local error to floor from which a place is at fault.

The largest that an honest run reached in `make zoo` (20 architectures, eager against sdpa, independent ports, fp32,
bf16 and fp16) is 1.3; a bf16 kernel with split accumulation reaches 1.4, and 3.1 at its worst token.
"""


def at_fault(error: LocalError) -> bool:
    """NaN on one side alone has an infinite error and is always at fault."""
    return error.pair.firm and not error.elsewhere and error.ratio > ABOVE_FLOOR


def first_place(errors: Sequence[LocalError]) -> Place | None:
    """Where the candidate first does something of its own."""
    for error in errors:
        if at_fault(error):
            tap = error.pair.reference
            return Place(
                error.module,
                tap.name,
                tap.step,
                relative(error.error, error),
                relative(error.floor, error),
                error.ratio,
            )
    return None


def findings(errors: Sequence[LocalError]) -> tuple[Finding, ...]:
    """One finding of unknown cause for each kind of place: the same module and port in several layers is one."""
    kinds: dict[tuple[str, str], list[LocalError]] = defaultdict(list)
    for error in errors:
        if at_fault(error):
            kinds[template(error.module)[0], _kind(error)].append(error)
    merged: dict[tuple[str, tuple[str, ...]], Finding] = {}
    for places in kinds.values():
        found = _finding(places)
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
    worst = places[0]
    modules = tuple(dict.fromkeys(place.module for place in places))
    start, end = worst.span_start or "the inputs", worst.pair.reference.name
    where = f"between {start} and {end}" if worst.span_start else f"at {end}"
    many = f", and so do {len(modules) - 1} more modules like it" if len(modules) > 1 else ""
    name = worst.module or "the model's own code"
    if worst.error == float("inf"):
        what = f"{name} gives a NaN or an infinity on one side alone, {where}{many}"
    else:
        size = relative(worst.error, worst)
        what = f"{name} does something of its own {where}: {size:.1e} relative, {worst.ratio:,.0f} times rounding{many}"
    return Finding("unknown", worst.module, modules, (start, end), what, error_before=relative(worst.error, worst))
