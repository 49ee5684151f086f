"""Pairing one-dimensional weights (norms) by value, up to a constant that is added to all of a vector.

What is padded counts as the vector without its padding: of one number, zero or one.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump, Weight

FAR = 0.3
"""Largest relative distance of two centred vectors taken as equal. bf16 storage of 1 + w moves them by 0.05 at most;
unrelated ones are 1.4 apart."""
SHORTEST = 8
"""Elements; a shorter vector says too little."""


def equal_vectors(reference: Dump, candidate: Dump) -> dict[str, list[tuple[str, float]]]:
    """Per reference vector, the candidate's that equal it, and the constant added: 1.0 where (1 + w) was folded."""
    ours, theirs = _by_length(reference), _by_length(candidate)
    equal: dict[str, list[tuple[str, float]]] = {}
    for length, (names, vectors) in ours.items():
        other_names, others = _starting_with(length, theirs)
        if not other_names:
            continue
        centred, centred_others = _centred(vectors), _centred(others)
        for name, values, row in zip(names, vectors, centred, strict=True):
            size = float(np.linalg.norm(row))
            if size < 1e-3 * max(float(np.linalg.norm(values)), 1e-30):
                continue  # a constant vector is like any other
            distances = np.linalg.norm(centred_others - row, axis=1) / size
            matches = np.flatnonzero(distances <= FAR)
            equal[name] = [(other_names[m], float(np.mean(others[m] - values))) for m in matches]
    return equal


def _by_length(dump: Dump) -> dict[int, tuple[list[str], NDArray[np.float64]]]:
    rows: dict[int, list[tuple[str, NDArray[np.float64]]]] = defaultdict(list)
    for weight in dump.weights:
        values = _values(dump, weight)
        if values is not None and np.isfinite(values).all():
            rows[len(values)].append((weight.name, values))
    return {length: ([name for name, _ in found], np.stack([v for _, v in found])) for length, found in rows.items()}


def _starting_with(
    length: int, vectors: dict[int, tuple[list[str], NDArray[np.float64]]]
) -> tuple[list[str], NDArray[np.float64]]:
    """The first elements of all vectors that have padding alone, or nothing, behind them."""
    names: list[str] = []
    firsts = [np.zeros((0, length))]
    for size, (found, values) in vectors.items():
        if size >= length:
            rest = values[:, length:]
            alike = np.flatnonzero((rest == rest[:, :1]).all(axis=1) & np.isin(rest[:, :1], (0, 1)).all(axis=1))
            names += [found[index] for index in alike]
            firsts.append(values[alike, :length])
    return names, np.concatenate(firsts)


def _values(dump: Dump, weight: Weight) -> NDArray[np.float64] | None:
    if len(weight.shape) != 1 or weight.shape[0] < SHORTEST or weight.tied_to:
        return None
    values = dump.weight_value(weight.name, weight.dtype)
    return None if values is None else values.astype(np.float64)


def _centred(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors - vectors.mean(axis=1, keepdims=True))
