"""What the audit says of one reference weight."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from probe.align.audit.comparison import Comparison, Layout, Value, is_quantized_type
from probe.tap import template as template_of_module

template = lru_cache(1 << 14)(template_of_module)
"""Names are asked about many times."""


class Kind(StrEnum):
    """Closed vocabulary; the first ones are honest conversions."""

    EQUAL = "equal"
    ROUNDED = "rounded"
    OFFSET = "offset"
    TRANSPOSED = "transposed"
    PERMUTED = "permuted"
    MOVED = "moved"
    """Found, but in another place than its module's, or in several weights together."""
    QUANTIZED = "quantized"
    """Or fine-tuned: near, and further off than rounding."""
    VECTORS_SCALED = "rows or columns scaled"
    EXTRA = "extra"
    """The candidate has it, and nothing of the reference is in it."""
    TIED = "tied"
    """To a weight that is in its place, as in the reference."""
    UNTIED = "tied on one side"
    """The values are equal."""
    ABSENT = "absent"
    """Not in the candidate, which may be on purpose (a pooler, a norm folded into the next layer)."""
    UNKNOWN = "unknown"

    SWAPPED = "swapped"
    OTHER_LAYER = "other layer's"
    OTHER_WEIGHT = "other weight's"
    NEVER_LOADED = "never loaded"
    NOTHING_LOADED = "nothing loaded"
    """Hardly any of the reference's matrices is anywhere in the candidate."""
    SCALED = "scaled"
    INCONSISTENT = "inconsistent"
    """Converted in another way than the like weights of other layers or of the same module class."""
    PARTLY = "partly loaded"
    MISSING = "missing"
    NONFINITE = "not finite"


SUSPICIOUS = frozenset(
    {
        *(Kind.SWAPPED, Kind.OTHER_LAYER, Kind.OTHER_WEIGHT, Kind.NEVER_LOADED, Kind.NOTHING_LOADED),
        *(Kind.SCALED, Kind.INCONSISTENT, Kind.PARTLY, Kind.MISSING, Kind.NONFINITE),
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One weight's; templates and layers are made of these afterwards."""

    reference: str
    """The reference weight's name; the candidate's for an extra weight."""
    kind: Kind
    place: str = ""
    """What the candidate has in its place."""
    home: str = ""
    """The first candidate weight of that place; all of it where `place` is the same."""
    holds: str = ""
    """The reference weight that is there instead."""
    why: str = ""
    """What else a reader must know, in words without layer numbers."""
    comparison: Comparison | None = None


def kind_of(found: Comparison, stored: str) -> Kind:
    """The kind of a weight that is in its place; `stored` is its dtype there."""
    match found.value:
        case Value.SCALED:
            return Kind.QUANTIZED if is_quantized_type(stored) else Kind.SCALED
        case Value.PARTLY_SCALED:
            return Kind.SCALED
        case Value.VECTORS_SCALED:
            return Kind.QUANTIZED if is_quantized_type(stored) else Kind.VECTORS_SCALED
        case Value.PERTURBED:
            return Kind.QUANTIZED
        case Value.OFFSET:
            return Kind.OFFSET
    if found.layout in (Layout.TRANSPOSED, Layout.AXES):
        return Kind.TRANSPOSED
    if found.layout is not Layout.PLAIN:
        return Kind.PERMUTED
    return Kind.EQUAL if found.value is Value.EQUAL else Kind.ROUNDED
