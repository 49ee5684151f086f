"""Comparing a matrix with what stands in its place, by the sketches of its rows and columns; no values are read."""

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.axes import axes_of_vectors, moves_axes
from probe.align.audit.comparison import (
    Comparison,
    Layout,
    Value,
    is_quantized_type,
    permutation_digest,
    permutation_layout,
)
from probe.align.audit.judged import DEVIATIONS, MOST, judged
from probe.align.audit.nearest import NEAR, Nearest
from probe.align.audit.places import Place
from probe.align.audit.sketched import (
    ALIKE,
    SHORTEST,
    UNRELATED,
    Vectors,
    alive_rows,
    both_alive,
    distances,
    layout_of,
    share_alike,
    vectors_of,
    whole,
)
from probe.dump import Dump, Weight
from probe.dump.weight import NUM_PROJECTIONS

LARGEST_PERMUTED = 1 << 16


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
    alike = [
        judged(own, other, dtypes, layout_of(own, other)) for own, other in trials if share_alike(own, other) >= MOST
    ]
    if alike and any(map(is_quantized_type, dtypes)):
        return min(alike, key=lambda found: found.noise)  # scales of columns leave noise in rows
    if alike:
        return next((found for found in alike if found.value is not Value.PERTURBED), alike[0])
    for own, other in trials:
        order = _order(own, other)
        if order is not None:
            moved = Vectors(other.axis, other.length, other.norms[order], other.directions[order])
            if moves_axes(order, axes_of_vectors(own.axis, weight.shape)):
                return judged(own, moved, dtypes, Layout.AXES)
            layout, head_dim = permutation_layout(order)
            return judged(own, moved, dtypes, layout, head_dim, permutation_digest(order))
    for own, other in trials:
        partly = _partly(own, other)
        if partly:
            return partly
    if not any(vectors.norms.any() for vectors in theirs):
        return Comparison(Layout.PLAIN, Value.CONSTANT)
    if any(_same_norms(own, other) for own, other in trials):
        return Comparison(Layout.PLAIN, Value.SAME_NORMS, share=0.0)
    if not trials or any(
        own.length >= SHORTEST and distances(own, other).mean() < UNRELATED / 2 for own, other in trials
    ):
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
    alive = alive_rows(own, other)
    if own.length < SHORTEST or not alive.any():
        return None
    apart = np.where(both_alive(own, other), distances(own, other), UNRELATED)[alive]
    equal = apart < ALIKE
    share = share_alike(own, other)
    some = share >= 0.1 and not equal.all()
    if some and apart[equal].mean() < ALIKE / 3 and apart[~equal].mean() > UNRELATED / 2:
        return Comparison(layout_of(own, other), Value.PARTLY, share=share)
    surely = 1 - DEVIATIONS * np.sqrt(2 / (NUM_PROJECTIONS * len(apart)))
    if apart.mean() < UNRELATED * min(0.5, surely):
        return Comparison(layout_of(own, other), Value.PERTURBED, noise=float(apart.mean()))
    return None


def _comparable(own: Vectors, other: Vectors) -> bool:
    """Vectors of one length; or longer ones, since zeros at a vector's end change no projection (padded channels)."""
    return own.length == other.length or (own.axis is other.axis and SHORTEST <= own.length < other.length)


def _preference(trial: tuple[Vectors, Vectors]) -> tuple[bool, ...]:
    own, other = trial
    return (
        own.length < SHORTEST,
        own.length != other.length,
        layout_of(own, other) is Layout.TRANSPOSED,
        len(own.norms) != len(other.norms),
        own.axis is not other.axis,
    )


def _same_norms(own: Vectors, other: Vectors) -> bool:
    """Row norms that vary alike, though the rows point elsewhere: what a rotation of the channels leaves."""
    if len(own.norms) != len(other.norms) or len(own.norms) < SHORTEST or not own.norms.std():
        return False
    return float(np.abs(own.norms - other.norms).max()) < 0.1 * float(own.norms.std())
