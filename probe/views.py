"""What a picture of two tensors shows: pure functions of arrays, for a terminal and for a page alike.

B sentences, H heads, T tokens, C channels. Differences are candidate - reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.generic]
Grid = NDArray[np.float64]
HIDDEN = -1e4
"""What is added to a score where no key is to be seen is less."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of both sides over the same bins; of finite numbers alone."""

    edges: Grid
    """One more than there are bins."""
    reference: NDArray[np.int64]
    candidate: NDArray[np.int64] | None
    """None of a lone tensor."""
    num_nonfinite: int
    """Of both sides: in no bin."""


def histogram(reference: Numbers, candidate: Numbers | None, num_bins: int) -> Histogram:
    """Bins of equal width over all finite numbers of both sides; complex numbers by their absolute value."""
    sides = [_real(side) for side in (reference, candidate) if side is not None]
    finite = [side[np.isfinite(side)] for side in sides]
    some = [side for side in finite if side.size]
    low = min((float(side.min()) for side in some), default=0.0)
    high = max((float(side.max()) for side in some), default=1.0)
    half = np.linspace(low / 2, high / 2 if high > low else low / 2 + 0.5, num_bins + 1)  # the range may overflow
    edges = 2 * half
    counts = [np.histogram(side, edges)[0].astype(np.int64) for side in finite]
    num_left = sum(side.size for side in sides) - sum(side.size for side in finite)
    return Histogram(edges, counts[0], counts[1] if len(counts) > 1 else None, num_left)


@dataclass(frozen=True, slots=True)
class Axes:
    """Which axes of a tensor mean what."""

    tokens: int
    channels: int
    heads: int | None
    """None where it has no such axis."""


def axes(shape: tuple[int, ...], num_tokens: int) -> Axes:
    """Of two axes and more. [B, T, C], [B, T, H, D], [B, H, T, D], [B, H, T, T]: the last axis has channels (or keys),
    and tokens lie along the first other one of `num_tokens` after the sentences; of [T, C] along the first."""
    inner = range(0 if len(shape) == 2 else 1, len(shape) - 1)
    tokens = next((axis for axis in inner if shape[axis] == num_tokens), None)
    if tokens is None:
        tokens = len(shape) - 2
    others = [axis for axis in inner if axis != tokens]
    return Axes(tokens, len(shape) - 1, others[0] if len(shape) == 4 and others else None)


def difference_grid(reference: Numbers, candidate: Numbers, rows: int, columns: int) -> Grid:
    """Root mean square of the difference by two axes, over the root mean square of the whole reference (over 1 where
    that is zero). What is NaN or infinite on one side alone is infinite; on both sides alike it is no difference."""
    r, c = _real(reference), _real(candidate)
    with np.errstate(all="ignore"):
        apart = np.where((r == c) | (np.isnan(r) & np.isnan(c)), 0.0, np.abs(c - r))
        apart[np.isnan(apart)] = np.inf
        finite = r[np.isfinite(r)]
        size = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
        others = tuple(axis for axis in range(r.ndim) if axis not in (rows, columns))
        grid = np.sqrt(np.mean(apart**2, axis=others)) / (size or 1.0)
    return np.asarray(grid if rows < columns else grid.T, np.float64)


def apart(reference: Numbers, candidate: Numbers) -> Grid:
    """candidate - reference; of complex numbers its absolute value. 0 where both are the same infinity or NaN."""
    with np.errstate(all="ignore"):
        if "c" in (reference.dtype.kind, candidate.dtype.kind):
            return np.asarray(np.abs(candidate.astype(np.complex128) - reference.astype(np.complex128)))
        r, c = _real(reference), _real(candidate)
        return np.where((r == c) | (np.isnan(r) & np.isnan(c)), 0.0, c - r)


def token_errors(reference: Numbers, candidate: Numbers, tokens: int) -> Grid:
    """[B, T]: ||c - r|| / ||r|| of each token, along the axis `tokens`; of tensors of two axes B is 1.

    Infinite where the reference's token is all zeros and the candidate's is not, and where one side alone is NaN or
    infinite; what is so on both sides alike is left out.
    """
    error, size = _squares(reference, candidate, tokens)
    return _relative(error, size)


def span_errors(
    reference: Numbers, candidate: Numbers, tokens: int, starts: Sequence[int], kept: NDArray[np.bool_] | None = None
) -> Grid:
    """[S]: as `token_errors`, of all tokens together from one of `starts` [S] to the next; of those alone that are
    `kept` [B, T]."""
    error, size = (
        squares if kept is None else np.where(kept, squares, 0.0) for squares in _squares(reference, candidate, tokens)
    )
    return _relative(*(np.add.reduceat(squares.sum(axis=0), starts) for squares in (error, size)))


def _relative(error: Grid, size: Grid) -> Grid:
    """Of sums of squares."""
    with np.errstate(all="ignore"):
        return np.asarray(np.where(error == 0, 0.0, np.sqrt(error) / np.sqrt(size)), np.float64)


def _squares(reference: Numbers, candidate: Numbers, tokens: int) -> tuple[Grid, Grid]:
    """[B, T] each: ||c - r||^2 and ||r||^2 of each token."""
    r, c = _real(reference), _real(candidate)
    if r.ndim == 2:
        r, c, tokens = r[None], c[None], tokens + 1
    others = tuple(axis for axis in range(1, r.ndim) if axis != tokens)
    with np.errstate(all="ignore"):
        is_same = (r == c) | (np.isnan(r) & np.isnan(c))
        apart = np.where(is_same, 0.0, np.abs(c - r))
        apart[~is_same & ~(np.isfinite(r) & np.isfinite(c))] = np.inf
        return (apart**2).sum(axis=others), (np.where(np.isfinite(r), r, 0.0) ** 2).sum(axis=others)


def shrunk(grid: Grid, num_rows: int, num_columns: int) -> Grid:
    """The largest of each block: no cell that stands out is lost."""
    for axis, most in ((0, num_rows), (1, num_columns)):
        size = grid.shape[axis]
        if size > most:
            starts = np.arange(most) * size // most
            grid = np.maximum.reduceat(grid, starts, axis=axis)
    return grid


def onset(grid: Grid, floor: float) -> int | None:
    """The first row that is more like the worst one than like `floor`: above their geometric mean. None where no row
    is above ten times the floor."""
    rows = grid.max(axis=1)
    worst = float(rows.max(initial=0.0))
    if not worst > 10 * floor:
        return None
    between = np.sqrt(floor * worst) if np.isfinite(worst) else worst
    return int(np.flatnonzero(rows >= between)[0])


def attention_scores(query: Numbers, key: Numbers, scale: float) -> Grid:
    """query [.., H, T, D] times key [.., G, S, D], scaled: [.., H, T, S]. G divides H: a key serves several heads.
    These may have an axis of their own: query [.., G, R, T, D]. ValueError where they are no such two."""
    q, k = _real(query), _real(key)
    if q.ndim == k.ndim + 1 and q.shape[:-3] == k.shape[:-2]:
        k = k[..., None, :, :]
    elif q.ndim != k.ndim:
        raise ValueError(f"queries {q.shape} and keys {k.shape}")
    elif q.ndim > 2 and q.shape[-3] != k.shape[-3]:
        k = np.repeat(k, q.shape[-3] // k.shape[-3], axis=-3)
    return np.asarray(q @ np.swapaxes(k, -1, -2) * scale)


def visible(mask: Numbers) -> NDArray[np.bool_]:
    """Where a key is seen: of a boolean mask True, of numbers added to the scores those that do not hide."""
    return np.asarray(mask if mask.dtype.kind == "b" else mask.astype(np.float64) > HIDDEN)


def probabilities(scores: Grid) -> Grid:
    """softmax over the last axis; a query that sees no key has 0 everywhere."""
    with np.errstate(all="ignore"):
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights[np.isneginf(scores)] = 0.0
        total = weights.sum(axis=-1, keepdims=True)
        return np.asarray(np.where(total == 0, 0.0, weights / total))


def masked(scores: Grid, mask: Numbers) -> Grid:
    """Scores as softmax is given them: -inf where a boolean mask is False, with any other mask added."""
    if mask.dtype.kind == "b":
        return np.where(mask, scores, -np.inf)
    return np.asarray(scores + np.where(visible(mask), mask.astype(np.float64), -np.inf))


def _real(numbers: Numbers) -> NDArray[np.float64]:
    return np.abs(numbers) if numbers.dtype.kind == "c" else numbers.astype(np.float64)
