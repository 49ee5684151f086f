"""How many rows of a reference module's matrices are those of its counterpart: the evidence written beside a row."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from probe.align.rows import NEAR
from probe.dump import Dump, Weight

Ranges = tuple[tuple[int, int], ...] | None
Parts = list[tuple[str, Ranges]]
"""Candidate modules, and channels of each."""


class Agreement:
    """Of two dumps; only sketches are read."""

    def __init__(self, reference: Dump, candidate: Dump) -> None:
        self._ours, self._theirs = _matrices(reference), _matrices(candidate)
        self._reference, self._candidate = reference, candidate

    def count(self, module: str, parts: Parts) -> tuple[int, int]:
        """Rows that agree, in place, and of how many; (0, 0) where weights are laid out otherwise."""
        agreeing = total = 0
        for weight in self._ours.get(module, ()):
            own = self._directions(self._reference, weight.first_row, weight.num_rows)
            for by_rows in (True, False):
                found = [self._part(name, ranges, by_rows) for name, ranges in parts]
                other = np.concatenate([part for part in found if part is not None] or [own[:0]])
                if len(other) == len(own):
                    same = int((np.abs(own - other).max(axis=1, initial=0) <= NEAR).sum())
                    if same:
                        agreeing, total = agreeing + same, total + len(own)
                        break
        return agreeing, total

    def _part(self, module: str, ranges: Ranges, by_rows: bool) -> NDArray[np.float32] | None:
        weights = self._theirs.get(module, [])
        if len(weights) != 1:
            return None
        weight = weights[0]
        place = (weight.first_row, weight.num_rows) if by_rows else (weight.first_column, weight.num_columns)
        rows = self._directions(self._candidate, *place)
        return rows if ranges is None else np.concatenate([rows[start:stop] for start, stop in ranges])

    def _directions(self, dump: Dump, first: int, count: int) -> NDArray[np.float32]:
        return dump.sketches.directions[first : first + count].astype(np.float32)


def _matrices(dump: Dump) -> dict[str, list[Weight]]:
    found: dict[str, list[Weight]] = defaultdict(list)
    for weight in dump.weights:
        if len(weight.shape) > 1:
            found[weight.module].append(weight)
    return found
