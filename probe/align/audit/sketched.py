"""A weight, or what several hold together, as vectors; and how far those of two sides are apart, by their sketches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.comparison import Layout
from probe.align.audit.places import Place
from probe.dump import Axis, Dump, Weight

SHORTEST = 16
"""Elements; shorter vectors agree by chance."""
ALIKE = 0.3
"""Relative squared distance below which two directions are one weight's: 2 for unrelated ones, of which 3 in 1000
come below by chance at one given place; int4 gives 0.01, int2 0.2."""
UNRELATED = 2.0
ALIKE_ALONE = 0.05
"""The same where fewer than four vectors speak."""

_TRANSPOSED = {(a, b) for a in (Axis.ROWS, Axis.INNER_ROWS) for b in (Axis.COLUMNS, Axis.INNER_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Vectors:
    """A weight, or a part of one or several, as vectors of one length."""

    axis: Axis
    length: int
    norms: NDArray[np.float32]
    directions: NDArray[np.float32]
    """[n, 8]"""
    num_axes: int = 2
    """Of the weight."""


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
                yield Vectors(axis, lengths.pop(), norms, directions, len(place.parts[0][0].shape))


def layout_of(own: Vectors, other: Vectors) -> Layout:
    crossed = (own.axis, other.axis) in _TRANSPOSED or (other.axis, own.axis) in _TRANSPOSED
    if crossed:
        return Layout.TRANSPOSED
    along_middle = (own.axis is Axis.MIDDLE) != (other.axis is Axis.MIDDLE)
    return Layout.AXES if along_middle and min(own.num_axes, other.num_axes) > 2 else Layout.PLAIN


def distances(own: Vectors, other: Vectors) -> NDArray[np.float32]:
    """Per pair of vectors: squared distance of their directions, from projections (each of variance 1/3)."""
    count = min(len(own.norms), len(other.norms))
    difference = own.directions[:count] - other.directions[:count]
    return np.asarray(3 * np.mean(difference**2, axis=1))


def alive_rows(own: Vectors, other: Vectors) -> NDArray[np.bool_]:
    """Rows that are zero on both sides say nothing."""
    count = min(len(own.norms), len(other.norms))
    return np.asarray((own.norms[:count] > 0) | (other.norms[:count] > 0))


def share_alike(own: Vectors, other: Vectors) -> float:
    alive = alive_rows(own, other)
    if not alive.any():
        return 0.0
    alike = (distances(own, other) < (ALIKE if alive.sum() >= 4 else ALIKE_ALONE)) & both_alive(own, other)
    if own.length < SHORTEST:  # directions of so few numbers agree by chance: norms must agree too
        count = len(alive)
        alike &= np.abs(own.norms[:count] - other.norms[:count]) <= 0.1 * own.norms[:count]
    missing = max(0, int((own.norms[len(alive) :] > 0).sum()))
    return float(alike[alive].sum() / (alive.sum() + missing))


def both_alive(own: Vectors, other: Vectors) -> NDArray[np.bool_]:
    count = min(len(own.norms), len(other.norms))
    return np.asarray((own.norms[:count] > 0) & (other.norms[:count] > 0))
