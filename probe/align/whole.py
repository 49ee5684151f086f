"""Two dumps as a comparison sees them: their steps side by side, padding as the other's, every tap paired."""

from dataclasses import dataclass
from pathlib import Path

from probe.align.functions import with_functions
from probe.align.mapping import Mapping
from probe.align.pairs import align_modules
from probe.align.table import apply_table
from probe.align.table.chosen import with_fitting_table
from probe.dump import Dump
from probe.dump.joined import side_by_side
from probe.dump.unpadded import unpadded_like


@dataclass(frozen=True, slots=True)
class Aligned:
    """What is compared."""

    reference: Dump
    candidate: Dump
    """Both as they are read: steps joined, padding left out where the other side has none."""
    mapping: Mapping
    chosen: str
    """The shipped table that was taken by itself; "" where none was."""


def aligned(reference: Dump, candidate: Dump, table: Path | None = None) -> Aligned:
    """`table` overrides what is inferred. ProbeError where it does not fit."""
    ours, theirs = side_by_side(reference, candidate)
    theirs = unpadded_like(theirs, ours)
    matches, mapping = align_modules(ours, theirs)
    if table is not None:
        mapping, chosen = apply_table(table, mapping, ours, theirs), ""
    else:
        mapping, chosen = with_fitting_table(mapping, ours, theirs)
    return Aligned(ours, theirs, with_functions(mapping, matches, ours, theirs), chosen)
