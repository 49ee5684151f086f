"""Verdicts on weights that are not in their places: moved, another one's there, or nothing that is known."""

import math

from probe.align.audit.beside import Beside
from probe.align.audit.comparison import Comparison, Layout, Value
from probe.align.audit.places import Place
from probe.align.audit.verdict import Kind, Verdict, template
from probe.dump import Weight


def moved(name: str, where: list[str], compared: Comparison | None) -> Verdict:
    """Found by its values; of rows in several weights it is known whether they are all there, and unchanged."""
    place = where[0] + (" and others" if where[1:] else "")
    if compared and compared.value is Value.PARTLY:
        why = f"{compared.share:.0%} of its rows are there"
        return Verdict(name, Kind.PARTLY, place, where[0], why=why, comparison=compared)
    if compared and compared.value in (Value.SCALED, Value.PARTLY_SCALED):
        return Verdict(name, Kind.SCALED, place, where[0], comparison=compared)
    return Verdict(name, Kind.MOVED, place, where[0], comparison=compared)


def beyond(name: str, place: Place) -> Verdict:
    """It should be some rows of a fused weight, and is others of it."""
    found = Comparison(Layout.PERMUTED, Value.EQUAL)
    why = "beyond its own part of that weight"
    return Verdict(name, Kind.INCONSISTENT, str(place), place.home, why=why, comparison=found)


def misplaced(weight: Weight, holders: list[Weight], beside: Beside) -> Verdict:
    """Its place holds another weight's values; of equal ones the likeliest is named."""
    place = beside.places[weight.name]
    swapped = [other for other in holders if beside.holds(other.name, weight)]
    same_kind = [other for other in holders if template(other.name)[0] == template(weight.name)[0]]
    other = (swapped or same_kind or holders)[0]
    if template(other.name)[0] == template(weight.name)[0]:
        kind = Kind.OTHER_LAYER
    else:
        kind = Kind.SWAPPED if swapped else Kind.OTHER_WEIGHT
    tied = place.parts[0][0].tied_to and not weight.tied_to
    why = f"it is tied to {place.parts[0][0].tied_to} in the candidate alone" if tied else ""
    return Verdict(weight.name, kind, str(place), place.home, other.name, why)


def not_there(weight: Weight, place: Place, found: Comparison) -> Verdict:
    """Nothing of it is in its place, nor anywhere else."""
    kind, why, compared = _not_there(weight, place, found)
    return Verdict(weight.name, kind, str(place), place.home, why=why, comparison=compared)


def _not_there(weight: Weight, place: Place, found: Comparison) -> tuple[Kind, str, Comparison | None]:
    match found.value:
        case Value.CONSTANT:
            return Kind.NEVER_LOADED, f"all {found.constant:.3g}", found
        case Value.NONFINITE:
            return Kind.NONFINITE, "", found
        case Value.UNSEEN:
            return Kind.UNKNOWN, "its numbers are not in the dump", None
        case Value.UNCLEAR:
            return Kind.UNKNOWN, "too few rows to tell noise from another weight", None
        case Value.PARTLY:
            return Kind.PARTLY, f"{found.share:.0%} of its rows are there", found
        case Value.SAME_NORMS:
            return Kind.UNKNOWN, "rows of the same norms in other directions: rotated?", found
    if _size(place) != math.prod(weight.shape):
        return Kind.UNKNOWN, "nothing of it is there", found
    why = "none of the reference's rows is in it" if len(weight.shape) > 1 else "its values are no weight's"
    why += f"; the reference ties it to {weight.tied_to}" if weight.tied_to else ""
    return Kind.NEVER_LOADED, why, found


def _size(place: Place) -> int:
    """Numbers in a place; ranges are of output channels."""
    total = 0
    for weight, ranges in place.parts:
        size = math.prod(weight.shape)
        if ranges:
            count = sum(stop - start for start, stop in ranges)
            axis = next((n for n in weight.shape if n >= max(stop for _, stop in ranges)), count)
            size = size // axis * count
        total += size
    return total
