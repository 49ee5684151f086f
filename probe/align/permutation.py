"""One matrix's rows in another order: where each of them lies, by sketches."""

import numpy as np
from numpy.typing import NDArray

Directions = NDArray[np.floating]
Ranges = tuple[tuple[int, int], ...]

MOST = 1 << 14
"""Rows that are looked for in any order."""
ASKED = 24
"""Rows that are looked for first: another matrix has none of them."""


def permutation(directions: Directions, others: Directions, near: float) -> Ranges | None:
    """Ranges of `others` [M, 8] that are `directions` [N, 8], in their order; None where a row is nowhere."""
    if len(directions) > min(len(others), MOST):
        return None
    order = np.argsort(others[:, 0], kind="stable")
    own, others = directions.astype(np.float32), others[order].astype(np.float32)
    asked = np.unique(np.linspace(0, len(own) - 1, min(ASKED, len(own))).astype(int))
    if any(_nearest(row, others, near) < 0 for row in own[asked]):
        return None
    found = np.array([_nearest(row, others, near) for row in own])
    if (found < 0).any() or len(np.unique(found)) != len(found):
        return None
    return ranges(order[found])


def ranges(places: NDArray[np.int64]) -> Ranges:
    """[3, 4, 5, 0] as ((3, 6), (0, 1))."""
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return tuple((int(run[0]), int(run[-1]) + 1) for run in runs)


def is_rotary_of_some_heads(rows: Ranges) -> bool:
    """Whether some heads' rows are in the other rotary layout, half-split or interleaved, and the other heads' are not.

    So do queries and keys, and values, lie in one fused matrix.
    """
    places = np.concatenate([np.arange(*run) for run in rows])
    for head_dim in (size for size in range(4, len(places) // 2 + 1, 2) if len(places) % size == 0):
        straight = np.arange(head_dim)
        heads = {tuple(head) for head in (places - np.arange(len(places)) // head_dim * head_dim).reshape(-1, head_dim)}
        for layout in (straight.reshape(2, -1).T, straight.reshape(-1, 2).T):
            if heads == {tuple(straight), tuple(layout.reshape(-1))}:
                return True
    return False


def _nearest(row: Directions, others: Directions, near: float) -> int:
    """Index of the row like `row` among those sorted by their first projection; -1 where there is none."""
    start, stop = np.searchsorted(others[:, 0], row[0] + np.array([-near, near], np.float32))
    far = np.abs(others[start:stop] - row).max(axis=1)
    return int(start + far.argmin()) if len(far) and far.min() <= near else -1
