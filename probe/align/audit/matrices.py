"""Comparing a matrix with what stands in its place, by the sketches of its rows and columns; no values are read."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.comparison import Comparison, Layout, Value, permutation_digest, permutation_layout
from probe.align.audit.nearest import NEAR, Nearest
from probe.align.audit.places import Place
from probe.dump import Axis, Dump, Weight
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.dump.weight import NUM_PROJECTIONS

SHORTEST = 16
"""Elements; shorter vectors agree by chance."""
ALIKE = 0.3
"""Relative squared distance below which two directions are one weight's: 2 for unrelated ones, of which 3 in 1000
come below by chance at one given place; int4 gives 0.01, int2 0.2."""
UNRELATED = 2.0
ALIKE_ALONE = 0.05
"""The same where fewer than four vectors speak."""
MOST = 0.9
"""Share of the vectors that must be alike: padding rows of a vocabulary and dead rows may not."""
RESOLVED = 3e-7
"""Relative squared distance that float16 projections cannot tell from none."""
ROUNDING = {dtype: unit**2 / 3 for dtype, unit in UNIT_ROUNDOFF.items()}
"""Relative squared error of storing in a dtype, at most: errors are uniform in +-u |x|."""
DEVIATIONS = 5.0
"""Standard deviations by which an estimate may exceed that; of n vectors, 8 n projections, one is sqrt(2 / 8 n)."""
SMALL_FLOATS_SUBNORMAL = 2.0
"""fp8 weights reach its subnormals, which are coarser."""
FAR_SCALED = 0.1
"""Relative difference of one row's factor from the other rows' that no rounding makes."""
LARGEST_PERMUTED = 1 << 16

_TRANSPOSED = {(a, b) for a in (Axis.ROWS, Axis.INNER_ROWS) for b in (Axis.COLUMNS, Axis.INNER_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Vectors:
    """A weight, or a part of one or several, as vectors of one length."""

    axis: Axis
    length: int
    norms: NDArray[np.float32]
    directions: NDArray[np.float32]
    """[n, 8]"""


def whole(weight: Weight) -> Place:
    return Place(((weight, None),))


def vectors_of(dump: Dump, place: Place) -> Iterator[Vectors]:
    """All ways in which a place was sketched."""
    for axis in Axis:
        rows: list[NDArray[np.int64]] = []
        lengths = set()
        for weight, ranges in place.parts:
            view = next((view for view in weight.views if view.axis is axis), None)
            if view is None or (ranges and max(stop for _, stop in ranges) > view.count):
                break
            lengths.add(view.length)
            rows += [np.arange(view.first + a, view.first + b) for a, b in ranges or ((0, view.count),)]
        else:
            if len(lengths) == 1:
                chosen = np.concatenate(rows)
                norms, directions = dump.sketches.norms[chosen], dump.sketches.directions[chosen].astype(np.float32)
                unknown = ~(np.isfinite(norms) & np.isfinite(directions).all(axis=1))
                norms[unknown], directions[unknown] = 0, 0
                yield Vectors(axis, lengths.pop(), norms, directions)


def compare_matrices(reference: Dump, weight: Weight, candidate: Dump, place: Place) -> Comparison:
    """What `place` holds of `weight`, in any layout."""
    first = place.parts[0][0]
    stored_alike = place.is_whole and (weight.shape, weight.dtype) == (first.shape, first.dtype)
    if stored_alike and weight.statistics.hash == first.statistics.hash:
        return Comparison(Layout.PLAIN, Value.EQUAL)
    if place.is_whole and first.statistics.minimum == first.statistics.maximum:
        constant = first.statistics.minimum
        same = weight.statistics.minimum == weight.statistics.maximum == constant
        return Comparison(Layout.PLAIN, Value.EQUAL if same else Value.CONSTANT, constant=constant)
    ours, theirs = list(vectors_of(reference, whole(weight))), list(vectors_of(candidate, place))
    dtypes = (weight.dtype, *(part.dtype for part, _ in place.parts))
    trials = sorted(((o, t) for o in ours for t in theirs if _comparable(o, t)), key=_preference)
    perturbed = None
    for own, other in trials:
        if _share(own, other) >= MOST:
            found = judged(own, other, dtypes, _layout(own, other))
            if found.value is not Value.PERTURBED:
                return found  # rows may look perturbed where each column has a factor of its own
            perturbed = perturbed or found
    if perturbed:
        return perturbed
    for own, other in trials:
        order = _order(own, other)
        if order is not None:
            layout, head_dim = permutation_layout(order)
            moved = Vectors(other.axis, other.length, other.norms[order], other.directions[order])
            return judged(own, moved, dtypes, layout, head_dim, permutation_digest(order))
    for own, other in trials:
        partly = _partly(own, other)
        if partly:
            return partly
    if not any(vectors.norms.any() for vectors in theirs):
        return Comparison(Layout.PLAIN, Value.CONSTANT)
    if any(_same_norms(own, other) for own, other in trials):
        return Comparison(Layout.PLAIN, Value.SAME_NORMS, share=0.0)
    if any(own.length >= SHORTEST and _distances(own, other).mean() < UNRELATED / 2 for own, other in trials):
        return Comparison(Layout.PLAIN, Value.UNCLEAR, share=0.0)
    return Comparison(Layout.PLAIN, Value.OTHER, share=0.0)


def _order(own: Vectors, other: Vectors) -> NDArray[np.int64] | None:
    """Where each vector of `own` is in `other`; None where not all are, each in a place of its own."""
    if len(own.norms) != len(other.norms) or own.length < SHORTEST or len(own.norms) > LARGEST_PERMUTED:
        return None
    asked = own.directions[:: max(1, len(own.norms) // 4)]
    if any(np.abs(other.directions - row).max(axis=1).min() > NEAR for row in asked):
        return None
    order = Nearest(other.directions).find(own.directions)
    return order if (order >= 0).all() and len(np.unique(order)) == len(order) else None


def _partly(own: Vectors, other: Vectors) -> Comparison | None:
    """Some vectors equal and the others unrelated; or all of them far off, but not unrelated."""
    alive = _alive(own, other)
    if own.length < SHORTEST or not alive.any():
        return None
    distances = np.where(_both(own, other), _distances(own, other), UNRELATED)[alive]
    equal = distances < ALIKE
    share = _share(own, other)
    if share >= 0.1 and distances[equal].mean() < ALIKE / 3 and distances[~equal].mean() > UNRELATED / 2:
        return Comparison(_layout(own, other), Value.PARTLY, share=share)
    surely = 1 - DEVIATIONS * np.sqrt(2 / (NUM_PROJECTIONS * len(distances)))
    if distances.mean() < UNRELATED * min(0.5, surely):
        return Comparison(_layout(own, other), Value.PERTURBED, noise=float(distances.mean()))
    return None


def _comparable(own: Vectors, other: Vectors) -> bool:
    """Vectors of one length; or longer ones, since zeros at a vector's end change no projection (padded channels)."""
    return own.length == other.length or (own.axis is other.axis and SHORTEST <= own.length < other.length)


def _preference(trial: tuple[Vectors, Vectors]) -> tuple[bool, ...]:
    own, other = trial
    return (
        own.length < SHORTEST,
        own.length != other.length,
        _layout(own, other) is Layout.TRANSPOSED,
        len(own.norms) != len(other.norms),
        own.axis is not other.axis,
    )


def _layout(own: Vectors, other: Vectors) -> Layout:
    crossed = (own.axis, other.axis) in _TRANSPOSED or (other.axis, own.axis) in _TRANSPOSED
    return Layout.TRANSPOSED if crossed else Layout.PLAIN


def _distances(own: Vectors, other: Vectors) -> NDArray[np.float32]:
    """Per pair of vectors: squared distance of their directions, from projections (each of variance 1/3)."""
    count = min(len(own.norms), len(other.norms))
    difference = own.directions[:count] - other.directions[:count]
    return np.asarray(3 * np.mean(difference**2, axis=1))


def _alive(own: Vectors, other: Vectors) -> NDArray[np.bool_]:
    """Rows that are zero on both sides say nothing."""
    count = min(len(own.norms), len(other.norms))
    return np.asarray((own.norms[:count] > 0) | (other.norms[:count] > 0))


def _share(own: Vectors, other: Vectors) -> float:
    alive = _alive(own, other)
    if not alive.any():
        return 0.0
    alike = (_distances(own, other) < (ALIKE if alive.sum() >= 4 else ALIKE_ALONE)) & _both(own, other)
    if own.length < SHORTEST:  # directions of so few numbers agree by chance: norms must agree too
        count = len(alive)
        alike &= np.abs(own.norms[:count] - other.norms[:count]) <= 0.1 * own.norms[:count]
    missing = max(0, int((own.norms[len(alive) :] > 0).sum()))
    return float(alike[alive].sum() / (alive.sum() + missing))


def _both(own: Vectors, other: Vectors) -> NDArray[np.bool_]:
    count = min(len(own.norms), len(other.norms))
    return np.asarray((own.norms[:count] > 0) & (other.norms[:count] > 0))


def judged(
    own: Vectors, other: Vectors, dtypes: tuple[str, ...], layout: Layout, head_dim: int = 0, digest: int = 0
) -> Comparison:
    """What was done to values whose directions agree."""
    both = _both(own, other)
    distances = _distances(own, other)
    alike = both & (distances < ALIKE)
    noise = float(distances[alike].mean(dtype=np.float64))
    ratios = other.norms[: len(both)][alike].astype(np.float64) / own.norms[: len(both)][alike]
    factor = float(np.median(ratios))
    spread = float(np.median(np.abs(ratios / factor - 1)))
    small = [ROUNDING[dtype] * SMALL_FLOATS_SUBNORMAL for dtype in dtypes if dtype.startswith("float8")]
    margin = 1 + DEVIATIONS * np.sqrt(2 / (NUM_PROJECTIONS * alike.sum()))
    rounded = noise <= margin * (max([ROUNDING["bfloat16"], *small]) + RESOLVED)
    sure = max(1e-3, 2 * max(UNIT_ROUNDOFF.get(dtype, 0.0) for dtype in dtypes)) if rounded else 0.03 + noise
    equal = noise <= RESOLVED and len(set(dtypes)) == 1
    value, constant = Value.EQUAL if equal else Value.ROUNDED if rounded else Value.PERTURBED, 0.0
    if spread > sure + np.sqrt(noise):
        value = Value.VECTORS_SCALED
    elif abs(factor - 1) > sure:
        value, constant = Value.SCALED, factor
    share = float(alike.sum() / max(1, _alive(own, other).sum()))
    away = float((np.abs(ratios / factor - 1) > FAR_SCALED + 5 * np.sqrt(noise)).mean())
    if value is not Value.VECTORS_SCALED and away > 1 - MOST:
        value, constant, share = Value.PARTLY, 0.0, 1 - away
    return Comparison(layout, value, share, noise, constant, head_dim, digest)


def _same_norms(own: Vectors, other: Vectors) -> bool:
    """Row norms that vary alike, though the rows point elsewhere: what a rotation of the channels leaves."""
    if len(own.norms) != len(other.norms) or len(own.norms) < SHORTEST or not own.norms.std():
        return False
    return float(np.abs(own.norms - other.norms).max()) < 0.1 * float(own.norms.std())
