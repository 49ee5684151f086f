"""Finding a reference weight's rows among all of a candidate's, by their sketches: names and shapes play no part."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump, Weight

NEAR = 0.05
"""Largest difference of any of the eight projections of two unit rows that are taken as equal.

Rounding a row to bf16 moves a projection by about 0.001 and int8 by 0.004; two unrelated rows agree to 0.05 in all
eight with a probability of about 1e-9.
"""
ASKED = 24
"""Rows of a matrix that are looked up; a match is then checked on every row."""
AGREE = 0.9
"""Share of rows that must agree: padding rows of a vocabulary and dead rows may not."""
MOST_ALIKE = 64
"""A row that is like so many others (a constant) identifies nothing."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows `first` to `last` of a reference weight are rows of a candidate weight."""

    first: int
    last: int
    weight: Weight
    rows: tuple[tuple[int, int], ...]
    """The candidate's rows, as ranges in the reference's order; one range unless they are permuted."""


class RowIndex:
    """All rows of a candidate's matrices, to be looked up by direction."""

    def __init__(self, dump: Dump) -> None:
        matrices = [weight for weight in dump.weights if len(weight.shape) > 1 and not weight.tied_to]
        self._directions = dump.sketches.directions.astype(np.float32) if matrices else np.zeros((0, 8), np.float32)
        self._norms = dump.sketches.norms if matrices else np.zeros(0, np.float32)
        self._weights = matrices
        owners = [np.full(weight.num_rows, index) for index, weight in enumerate(matrices)]
        places = [np.arange(weight.first_row, weight.first_row + weight.num_rows) for weight in matrices]
        owner = np.concatenate([*owners, np.zeros(0, np.int64)]).astype(np.int64)
        place = np.concatenate([*places, np.zeros(0, np.int64)]).astype(np.int64)
        live = self._norms[place] > 0
        order = np.argsort(self._directions[place[live], 0], kind="stable")
        self._owner, self._place = owner[live][order], place[live][order]
        self._sorted = self._directions[self._place]

    def find(self, directions: NDArray[np.float32], norms: NDArray[np.float32]) -> list[Segment]:
        """Where the rows of a reference matrix lie; several segments if they are split up or occur more than once."""
        live = np.flatnonzero(norms > 0)
        if not len(live):
            return []
        asked = live[np.unique(np.linspace(0, len(live) - 1, min(ASKED, len(live))).astype(int))]
        offsets: Counter[tuple[int, int]] = Counter()
        owners: Counter[int] = Counter()
        for row in asked:
            hits = self._like(directions[row])
            owners.update(set(self._owner[hits].tolist()))
            for hit in hits:
                weight = int(self._owner[hit])
                offsets[weight, int(self._place[hit]) - self._weights[weight].first_row - int(row)] += 1
        needed = min(2, len(asked))
        segments = []
        for (weight, offset), count in offsets.items():
            if count >= needed:
                segment = self._straight(directions, norms, self._weights[weight], offset)
                if segment:
                    segments.append(segment)
        if segments:
            return segments
        permuted = [self._weights[owner] for owner, count in owners.items() if count >= AGREE * len(asked)]
        found = (self._permuted(directions, weight) for weight in permuted)
        return [segment for segment in found if segment]

    def _like(self, direction: NDArray[np.float32]) -> NDArray[np.int64]:
        first = np.searchsorted(self._sorted[:, 0], direction[0] - NEAR)
        last = np.searchsorted(self._sorted[:, 0], direction[0] + NEAR, side="right")
        near = np.abs(self._sorted[first:last] - direction).max(axis=1, initial=0) <= NEAR
        hits = np.flatnonzero(near) + first
        return np.asarray(hits if len(hits) <= MOST_ALIKE else hits[:0])

    def _straight(
        self, directions: NDArray[np.float32], norms: NDArray[np.float32], weight: Weight, offset: int
    ) -> Segment | None:
        """All rows that `weight` holds at `offset`, if nearly all of them agree."""
        first, last = max(0, -offset), min(len(directions), weight.num_rows - offset)
        start = weight.first_row + offset
        other = self._directions[start + first : start + last]
        agree = (np.abs(directions[first:last] - other).max(axis=1) <= NEAR) | (norms[first:last] == 0)
        if agree.mean() < AGREE:
            return None
        return Segment(first, last, weight, ((first + offset, last + offset),))

    def _permuted(self, directions: NDArray[np.float32], weight: Weight) -> Segment | None:
        """The same rows in another order, as rotary embeddings of other layouts want them."""
        if weight.num_rows < len(directions) or len(directions) > 1 << 14:
            return None
        own = self._directions[weight.first_row : weight.first_row + weight.num_rows]
        nearest = np.array([int(np.abs(own - row).max(axis=1).argmin()) for row in directions])
        agree = np.abs(own[nearest] - directions).max(axis=1) <= NEAR
        if agree.mean() < AGREE or len(set(nearest.tolist())) != len(nearest):
            return None
        breaks = np.flatnonzero(np.diff(nearest) != 1) + 1
        ranges = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(nearest, breaks))
        return Segment(0, len(directions), weight, ranges)
