"""Finding a reference weight's rows among all of a candidate's, by their sketches: names and shapes play no part."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.permutation import Directions, permutation
from probe.dump import Axis, Dump, View, Weight

NEAR = 0.05
"""Largest difference of any of the eight projections of two unit rows that are taken as equal.

Rounding a row to bf16 moves a projection by about 0.001 and int8 by 0.004; two unrelated rows agree to 0.05 in all
eight with a probability of about 1e-9.
"""
ROUNDED = 0.005
"""The same, for rows that were rounded and not quantised: they are looked for first, among a tenth as many."""
ASKED = (3, 24)
"""Rows of a matrix that are looked up, first and where those do not tell all; a match is then checked on every row."""
AGREE = 0.9
"""Share of rows that must agree: padding rows of a vocabulary and dead rows may not."""
MOST_ALIKE = 64
"""A row that is like so many others (a constant) identifies nothing."""
CELL = 0.01
COLUMN = 1 << 20
"""The index is a grid over the first two projections, in cells of this size, column after column."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Vectors `first` to `last` of a reference weight are vectors of a candidate weight."""

    first: int
    last: int
    weight: Weight
    view: View
    """Which of the candidate's vectors: its columns, where the weight is stored transposed."""
    rows: tuple[tuple[int, int], ...]
    """The candidate's vectors, as ranges in the reference's order; one range unless they are permuted."""


class RowIndex:
    """All vectors of a candidate's matrices along the given axes, to be looked up by direction."""

    def __init__(self, dump: Dump, axes: Collection[Axis]) -> None:
        matrices = [weight for weight in dump.weights if len(weight.shape) > 1 and not weight.tied_to]
        self._views = [(weight, view) for weight in matrices for view in weight.views if view.axis in axes]
        self._directions, self._norms = dump.sketches.directions, dump.sketches.norms
        none = np.zeros(0, np.int64)
        owner = np.concatenate([none, *(np.full(view.count, i) for i, (_, view) in enumerate(self._views))])
        place = np.concatenate([none, *(np.arange(v.first, v.first + v.count) for _, v in self._views)])
        live = self._norms[place] > 0
        cells = np.floor(self._directions[place[live], :2].astype(np.float32) / CELL).astype(np.int64)
        keys = cells[:, 0] * COLUMN + cells[:, 1]
        order = np.argsort(keys, kind="stable")
        self._keys, self._owner, self._place = keys[order], owner[live][order], place[live][order]

    def find(self, directions: Directions, norms: NDArray[np.float32]) -> list[Segment]:
        """Where the rows of a reference matrix lie; several segments if they are split up or occur more than once."""
        live = np.flatnonzero(norms > 0)
        if not len(live):
            return []
        directions = directions.astype(np.float32)
        for count, near in ((ASKED[0], ROUNDED), (ASKED[1], NEAR)):
            asked = live[np.unique(np.linspace(0, len(live) - 1, min(count, len(live))).astype(int))]
            segments, owners = self._ask(directions, norms, asked, near)
            if _cover(segments, len(directions)):
                return segments
        if segments:
            return segments
        permuted = [owner for owner, number in owners.items() if number >= AGREE * len(asked)]
        return [segment for owner in permuted if (segment := self._permuted(directions, owner))]

    def _ask(
        self, directions: Directions, norms: NDArray[np.float32], asked: NDArray[np.int64], near: float
    ) -> tuple[list[Segment], Counter[int]]:
        """Segments that some of the asked rows point to, and how many of these rows each weight has anywhere."""
        offsets: Counter[tuple[int, int]] = Counter()
        owners: Counter[int] = Counter()
        for row in asked:
            hits = self._like(directions[row], near)
            owners.update(set(self._owner[hits].tolist()))
            for hit in hits:
                owner = int(self._owner[hit])
                offsets[owner, int(self._place[hit]) - self._views[owner][1].first - int(row)] += 1
        needed = min(2, len(asked)) if near == NEAR else 1
        found = (self._straight(directions, norms, *place) for place, count in offsets.items() if count >= needed)
        return [segment for segment in found if segment], owners

    def _like(self, direction: Directions, near: float) -> NDArray[np.int64]:
        lowest, highest = (np.floor((direction[:2] + by) / CELL).astype(np.int64) for by in (-near, near))
        columns = np.arange(lowest[0], highest[0] + 1) * COLUMN
        firsts = np.searchsorted(self._keys, columns + lowest[1])
        lasts = np.searchsorted(self._keys, columns + highest[1], side="right")
        cells = np.concatenate([np.arange(first, last) for first, last in zip(firsts, lasts, strict=True)])
        close = np.abs(self._directions[self._place[cells]] - direction).max(axis=1, initial=0) <= near
        hits = cells[close]
        return np.asarray(hits if len(hits) <= MOST_ALIKE else hits[:0])

    def _straight(self, directions: Directions, norms: NDArray[np.float32], owner: int, offset: int) -> Segment | None:
        """All rows that the view holds at `offset`, if nearly all of them agree."""
        weight, view = self._views[owner]
        first, last = max(0, -offset), min(len(directions), view.count - offset)
        start = view.first + offset
        other = self._directions[start + first : start + last]
        agree = (np.abs(directions[first:last] - other).max(axis=1) <= NEAR) | (norms[first:last] == 0)
        if agree.mean() < AGREE:
            return None
        return Segment(first, last, weight, view, ((first + offset, last + offset),))

    def _permuted(self, directions: Directions, owner: int) -> Segment | None:
        """The same rows in another order, as rotary embeddings of other layouts want them."""
        weight, view = self._views[owner]
        found = permutation(directions, self._directions[view.first : view.first + view.count], NEAR)
        return Segment(0, len(directions), weight, view, found) if found else None


def _cover(segments: list[Segment], num_rows: int) -> bool:
    """Whether the segments, one after the other, are all rows."""
    at = 0
    for segment in sorted(segments, key=lambda segment: segment.first):
        if segment.first > at:
            return False
        at = max(at, segment.last)
    return at >= AGREE * num_rows
