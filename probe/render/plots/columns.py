"""More places than a line has room for share columns."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
COLUMNS = 700
"""Of more places than that a column is drawn as the largest number in it, with a band down to the smallest."""


def columns(at: NDArray[np.intp], places: Numbers, num_places: int) -> tuple[Numbers, Numbers, Numbers]:
    """The middle of each column, its largest, and its smallest."""
    if num_places <= COLUMNS or not at.size:
        return at.astype(np.float64), places, places
    column = at * COLUMNS // num_places
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    middle = (column[starts] + 0.5) * num_places / COLUMNS - 0.5
    return middle, np.maximum.reduceat(places, starts), np.minimum.reduceat(places, starts)
