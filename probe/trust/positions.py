"""Positions that the two models were fed: the same, all further on by as much, or others.

B sentences of T tokens.
"""

import numpy as np
from numpy.typing import NDArray

from probe.align.layouts import number_kind
from probe.dump import Dump
from probe.report import Status
from probe.trust.fed import Numbers, tokens

Kept = NDArray[np.bool_] | None


def position_difference(
    mine: Numbers, other: Numbers, kept: Kept, reference: Dump, step: int
) -> tuple[Status, str | None]:
    """How bad a difference is, and what it is in words; None where there is none.

    [T] and [1, T] stand for every sentence; padded tokens have no position that counts, and may be left out.
    """
    position = mine
    try:
        if kept is None:
            mine, other = np.broadcast_arrays(mine, other)
        else:
            mine, other = (_that_count(positions, kept) for positions in (mine, other))
    except ValueError:
        shapes = f"{list(mine.shape)} in the reference and {list(other.shape)} in the candidate"
        return Status.FAIL, f"has other shapes: {shapes}"
    shift = _shift(mine, other)
    if shift is None:
        unequal = np.flatnonzero(mine.reshape(-1) != other.reshape(-1))
        pair = f"{mine.reshape(-1)[unequal[0]]} and {other.reshape(-1)[unequal[0]]}"
        return Status.FAIL, f"differs at {len(unequal)} of {mine.size} places, first at {unequal[0]}: {pair}"
    if not shift:
        return Status.OK, None
    table = _table(reference, position, step)
    if table is not None:
        return Status.FAIL, f"is {shift} more in the candidate, everywhere, and {table} looks them up"
    advice = "rotary embeddings do not mind, learned ones do"
    return Status.WARN, f"is {shift} more in the candidate, everywhere: {advice}"


def _that_count(positions: Numbers, kept: NDArray[np.bool_]) -> Numbers:
    if positions.size == kept.sum() and positions.ndim == 1:
        return positions
    return np.broadcast_to(positions, kept.shape)[kept]


def _shift(mine: Numbers, other: Numbers) -> int | None:
    """By how much all of `other` are more; None where that is not one number."""
    shifts = np.unique(other.astype(np.int64) - mine.astype(np.int64))
    return int(shifts[0]) if len(shifts) == 1 else None if len(shifts) else 0


def _table(reference: Dump, position: Numbers, step: int) -> str | None:
    """The module with a matrix that is given the positions, or positions so many further on; None if there is none."""
    tables = {weight.module for weight in reference.weights if len(weight.shape) == 2}
    words = tokens(reference, step)
    for tap in reference.module_taps:
        if tap.step != step or not tap.is_input or tap.module not in tables or number_kind(tap.dtype) != "int":
            continue
        given = reference.read(tap)
        if words is not None and np.array_equal(given.reshape(-1), words.reshape(-1)):
            continue  # words that happen to count up
        try:
            mine, given = np.broadcast_arrays(position, given)
        except ValueError:
            continue
        if _shift(mine, given) is not None:
            return tap.module
    return None
