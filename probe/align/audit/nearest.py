"""The nearest of many unit vectors by their eight projections: a grid of cells, looked up for many queries at once."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

NEAR = 0.05
"""Largest difference of any projection of two vectors taken as equal; probe.align.rows says why."""
SIDES = 128
"""Cells an axis: a projection lies within (-3.2, 3.2) for any vector that is no constant."""
GRID = 4
"""Projections that make a cell: in 2.5 million random vectors a cell then holds three."""
AT_ONCE = 2048
"""Queries answered together, so that their neighbours stay small in memory."""
STEPS = np.array(list(product((-1, 0, 1), repeat=GRID)), np.int64) @ SIDES ** np.arange(GRID)


class Nearest:
    """Of `directions` [n, 8] the nearest within NEAR."""

    def __init__(self, directions: NDArray[np.float32]) -> None:
        keys = _cells(directions)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._directions = directions

    def find(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """[m, 8] -> [m]: the index of the nearest, -1 where none is near in all eight projections."""
        found = [self._find(queries[start : start + AT_ONCE]) for start in range(0, len(queries), AT_ONCE)]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _find(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        keys = (_cells(queries)[:, None] + STEPS).reshape(-1)
        first = np.searchsorted(self._keys, keys)
        counts = np.searchsorted(self._keys, keys, side="right") - first
        asked = np.repeat(np.repeat(np.arange(len(queries)), len(STEPS)), counts)
        starts = np.repeat(first - np.cumsum(counts) + counts, counts)
        places = self._order[starts + np.arange(len(starts))]
        far = np.abs(self._directions[places] - queries[asked]).max(axis=1, initial=0)
        near = far <= NEAR
        asked, places, far = asked[near], places[near], far[near]
        by_distance = np.lexsort((places, far, asked))
        which, at = np.unique(asked[by_distance], return_index=True)
        nearest = np.full(len(queries), -1, np.int64)
        nearest[which] = places[by_distance][at]
        return nearest


def _cells(directions: NDArray[np.float32]) -> NDArray[np.int64]:
    cells = np.floor(directions[:, :GRID] / NEAR).astype(np.int64) + SIDES // 2
    return np.asarray(np.clip(cells, 1, SIDES - 2) @ SIDES ** np.arange(GRID))
