"""Whose weights are these? Rows of one model are looked up among all rows and columns of another."""

from collections import Counter
from collections.abc import Mapping as Mapping_
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.comparison import Comparison, Layout, Value, permutation_digest
from probe.align.audit.judged import judged
from probe.align.audit.nearest import Nearest
from probe.align.audit.places import Place
from probe.align.audit.sketched import SHORTEST, Vectors, vectors_of, whole
from probe.align.audit.vectors import NEAR, Numbers, VectorValues, compare_vectors
from probe.dump import Dump, Weight

ASKED = 8
"""Vectors of each view of a matrix that are looked up."""
NEEDED = 0.6
"""Share of these that must lie in one weight; two unrelated vectors agree with a probability of 1e-9."""

TOLERATED = 0.02
"""Share of the rows that may be missing in weights that hold a matrix's rows together."""


class Lookup:
    """All weights of one dump, by value."""

    def __init__(self, dump: Dump, values: VectorValues) -> None:
        self._dump, self._values = dump, values
        self._matrices = [weight for weight in dump.weights if len(weight.shape) > 1 and not weight.tied_to]

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Nearest]:
        """Of each vector its owner and its sketch's number, and all of them to be asked."""
        owners, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, weight in enumerate(self._matrices):
            for view in weight.views:
                if view.length >= SHORTEST:
                    rows.append(np.arange(view.first, view.first + view.count))
                    owners.append(np.full(view.count, number))
        chosen = np.concatenate(rows)
        owner = np.concatenate(owners)
        norms = self._dump.sketches.norms[chosen]
        alive = np.isfinite(norms) & (norms > 0) & np.isfinite(self._dump.sketches.directions[chosen]).all(axis=1)
        return owner[alive], chosen[alive], Nearest(self._dump.sketches.directions[chosen[alive]].astype(np.float32))

    @cached_property
    def _vectors(self) -> dict[int, "_Stack"]:
        """By length: all one-dimensional weights."""
        found: dict[int, list[tuple[Weight, Numbers]]] = {}
        for weight in self._dump.weights:
            if len(weight.shape) == 1 and weight.shape[0] >= SHORTEST // 2 and not weight.tied_to:
                values = self._values.of(weight)
                if values is not None and _varies(values):
                    found.setdefault(len(values), []).append((weight, values))
        return {size: _Stack([w for w, _ in rows], np.stack([v for _, v in rows])) for size, rows in found.items()}

    def owners(self, asking: Dump, asked: Mapping_[str, Place]) -> dict[str, list[Weight]]:
        """Per matrix of another dump (`asked`): the weights that hold its rows or columns, likeliest first."""
        queries: list[NDArray[np.float32]] = []
        groups: list[tuple[str, int]] = []
        for name, place in asked.items():
            for vectors in vectors_of(asking, place):
                alive = np.flatnonzero(vectors.norms > 0)
                if vectors.length >= SHORTEST and len(alive):
                    chosen = alive[np.unique(np.linspace(0, len(alive) - 1, min(ASKED, len(alive))).astype(int))]
                    queries.append(vectors.directions[chosen])
                    groups.append((name, len(chosen)))
        if not queries or not self._matrices:
            return {}
        owner, _, index = self._index
        hits = index.find(np.concatenate(queries))
        votes: dict[str, Counter[int]] = {}
        at = 0
        for name, count in groups:
            mine = hits[at : at + count]
            at += count
            for number, found in Counter(owner[mine[mine >= 0]].tolist()).items():
                if found >= max(NEEDED * count, min(count, 2)):
                    votes.setdefault(name, Counter())[number] += found
        return {name: [self._matrices[number] for number, _ in counts.most_common()] for name, counts in votes.items()}

    def scattered(self, asking: Dump, weight: Weight) -> tuple[set[str], Comparison] | None:
        """Names of all weights that together hold a matrix's rows (experts, say), and what became of these.

        None where most of them are nowhere.
        """
        owner, sketched, index = self._index
        best: tuple[float, Vectors, NDArray[np.int64]] | None = None
        for vectors in vectors_of(asking, whole(weight)):
            alive = np.flatnonzero(vectors.norms > 0)
            if vectors.length < SHORTEST or not len(alive) or not len(owner):
                continue
            chosen = alive[np.unique(np.linspace(0, len(alive) - 1, 4 * ASKED).astype(int))]
            if (index.find(vectors.directions[chosen]) >= 0).mean() >= 0.5:
                hits = index.find(vectors.directions)
                share = float((hits >= 0).mean())
                best = max(best or (0.0, vectors, hits), (share, vectors, hits), key=lambda found: found[0])
        if best is None:
            return None
        share, own, hits = best
        names = {self._matrices[number].name for number in owner[hits[hits >= 0]]}
        if share < 1 - TOLERATED:
            return names, Comparison(Layout.PLAIN, Value.PARTLY, share=share)
        rows = sketched[hits[hits >= 0]]
        sketches = self._dump.sketches
        there = Vectors(own.axis, own.length, sketches.norms[rows], sketches.directions[rows].astype(np.float32))
        mine = Vectors(own.axis, own.length, own.norms[hits >= 0], own.directions[hits >= 0])
        dtypes = (weight.dtype, *{self._matrices[number].dtype for number in owner[hits[hits >= 0]]})
        return names, judged(mine, there, dtypes, Layout.PLAIN, digest=permutation_digest(np.diff(rows)))

    def equal_vectors(self, values: Numbers, dtypes: tuple[str, ...], *, exactly: bool = False) -> list[Weight]:
        """The one-dimensional weights that are `values`, up to rounding and a constant; or near them, too."""
        if len(values) not in self._vectors or not _varies(values):
            return []
        stack = self._vectors[len(values)]
        compared = [(stack.weights[n], compare_vectors(stack.rows[n], values, dtypes)) for n in stack.near(values)]
        alike = [(weight, comparison) for weight, comparison in compared if comparison.is_same_weight]
        if exactly:
            alike = [(weight, found) for weight, found in alike if found.value is not Value.PERTURBED]
        return [weight for weight, _ in sorted(alike, key=lambda pair: pair[1].noise)]


class _Stack:
    """Vectors of one length, one below the other."""

    def __init__(self, weights: list[Weight], rows: Numbers) -> None:
        self.weights, self.rows = weights, rows
        self._centred = rows - rows.mean(axis=1, keepdims=True)
        self._squares = (self._centred**2).sum(axis=1)

    def near(self, values: Numbers) -> NDArray[np.int64]:
        """Which rows are `values` up to a constant, or nearly so."""
        centred = values - values.mean()
        square = float(centred @ centred)
        distances = self._squares - 2 * self._centred @ centred + square
        return np.flatnonzero(distances <= NEAR**2 * square)


def _varies(values: Numbers) -> bool:
    """A constant is like any other; NaN is like nothing."""
    return bool(np.isfinite(values).all()) and float(values.max() - values.min()) > 0
