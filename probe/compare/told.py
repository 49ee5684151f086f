"""What two dumps tell of a pair where one of them has not kept the values."""

import math
from dataclasses import dataclass

from probe.align.mapping import Pair, Source
from probe.compare.sketched import Kept, estimate
from probe.dump import Dump
from probe.errors import NotKept
from probe.metrics import Sums
from probe.report import Seen
from probe.tap import Tap

DIGITS = 1e-5
"""Of the norm: what a norm or a mean of a dump's table may be off by (probe.dump.statistics)."""


@dataclass(frozen=True, slots=True)
class Told:
    """Figures of a pair, and where they come from."""

    sums: Sums
    by: Seen
    stderr: float | None = None
    """Of `sums.rel_l2`."""


def told_without_values(pair: Pair, ours: Dump, theirs: Dump, kept: Kept) -> Told | None:
    """None where both sides have their values."""
    if ours.has_values(pair.reference) and all(theirs.has_values(source.tap) for source in pair.sources):
        return None
    tap, other = pair.reference, pair.sources[0].tap
    if not (ours.detail.has_values and theirs.detail.has_values):
        least = _at_least(pair)
        sums = _one_sided(least or _unknown(tap), tap, other)
        return Told(sums, Seen.STATISTICS if least or sums.num_unequal_nonfinite else Seen.NOTHING)
    try:
        found = estimate(pair, ours, theirs, kept)
    except NotKept:  # sketches of another width or seed
        found = None
    if found is None:
        return Told(_unknown(tap), Seen.NOTHING)
    return Told(_one_sided(found.sums, tap, other), Seen.SKETCH, found.stderr)


def _at_least(pair: Pair) -> Sums | None:
    """||c - r|| is no less than what norms, means times sqrt(n), least and largest numbers differ by.

    None: parts of fused tensors have no statistics of their own, and neither have numbers that a layout changes.
    """
    tap, other = pair.reference, pair.sources[0].tap
    r, c, layout = tap.statistics, other.statistics, pair.layout
    if pair.sources != (Source(other),) or layout.unpadded or layout.scale != 1 or layout.offset:
        return None
    count = tap.num_elements
    if r.hash == c.hash and tap.dtype == other.dtype:
        return Sums(count, 0.0, r.l2**2, c.l2**2, r.l2**2, r.mean * count)
    sums, ends = (c.l2 - r.l2, math.sqrt(count) * (c.mean - r.mean)), (c.minimum - r.minimum, c.maximum - r.maximum)
    apart = [abs(by) - DIGITS * r.l2 for by in sums] + [abs(by) for by in ends]
    least = max((number for number in apart if math.isfinite(number)), default=0.0)
    return Sums(count, max(least, 0.0) ** 2, r.l2**2, c.l2**2, math.nan, r.mean * count, math.nan)


def _unknown(tap: Tap) -> Sums:
    return Sums(tap.num_elements, math.nan, tap.statistics.l2**2, math.nan, math.nan, math.nan, math.nan)


def _one_sided(sums: Sums, tap: Tap, other: Tap) -> Sums:
    """With the NaN and the infinities that one side has more of than the other."""
    r, c = tap.statistics, other.statistics
    if tap.num_elements != other.num_elements:
        return sums
    sums.num_unequal_nonfinite = abs(r.num_nan - c.num_nan) + abs(r.num_inf - c.num_inf)
    return sums
