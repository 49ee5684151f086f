"""How two runs' token ids differ, in words of what usually went wrong: a BOS, a template, the order of sentences."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[Any]
Kept = NDArray[np.bool_] | None


def token_difference(reference: Ids, candidate: Ids, kept: Kept, config: Any) -> str | None:
    """None where they are the same, flattened or without padding too.

    Ids are [B, T], [T] or flat; `kept` [B, T] is the reference's attention mask, `config` the reference's.
    """
    mine, other = reference.reshape(-1), candidate.reshape(-1)
    if kept is not None and kept.shape == reference.shape and other.size == kept.sum() != mine.size:
        mine = reference[kept]
    if np.array_equal(mine, other):
        return None
    rows, other_rows = _sentences(reference), _sentences(candidate)
    return (
        _other_order(rows, other_rows)
        or _one_token(rows, other_rows)
        or _longer(rows, other_rows, config)
        or _shifted(rows, other_rows, config)
        or _plainly(mine, other)
    )


def _sentences(ids: Ids) -> Ids:
    """[B, T]; flat ids are one sentence."""
    return np.asarray(ids.reshape(-1, ids.shape[-1]) if ids.ndim else ids.reshape(1, 1))


def _other_order(mine: Ids, other: Ids) -> str | None:
    if mine.shape != other.shape or len(mine) == 1:
        return None
    if sorted(map(tuple, mine.tolist())) != sorted(map(tuple, other.tolist())):
        return None
    return "holds the same sentences in another order"


def _one_token(mine: Ids, other: Ids) -> str | None:
    """One side was fed the last token alone, as a decode step is."""
    for side, long, short in (("candidate", mine, other), ("reference", other, mine)):
        if short.size == len(long) and long.shape[1] > 1 and np.array_equal(short.reshape(-1), long[:, -1]):
            return f"is the last token alone in the {side}"
    return None


def _longer(mine: Ids, other: Ids, config: Any) -> str | None:
    """One side has all of the other's tokens, and more around them."""
    if len(mine) != len(other) or mine.shape == other.shape:
        return None
    side, lacking, long, short = "reference", "candidate", mine, other
    if short.shape[1] > long.shape[1]:
        side, lacking, long, short = "candidate", "reference", other, mine
    extra = long.shape[1] - short.shape[1]
    for before in range(extra + 1):
        if np.array_equal(long[:, before : before + short.shape[1]], short):
            after = extra - before
            if before == 1 and not after:
                return f"begins in the {side} with {_token(long[0, 0], config)}, which the {lacking} lacks"
            if after == 1 and not before:
                return f"ends in the {side} with {_token(long[0, -1], config)}, which the {lacking} lacks"
            where = f"{before} before them and {after} after"
            return f"is in the {side} what it is in the {lacking}, and {extra} tokens more ({where}): a chat template?"
    return None


def _shifted(mine: Ids, other: Ids, config: Any) -> str | None:
    """Both are equally long, and one has a token in front that pushed the last one out."""
    if mine.shape != other.shape or mine.shape[1] < 3:
        return None
    for side, lacking, long, short in (
        ("reference", "candidate", mine, other),
        ("candidate", "reference", other, mine),
    ):
        if np.array_equal(long[:, 1:], short[:, :-1]):
            first = _token(long[0, 0], config)
            return f"begins in the {side} with {first}, which the {lacking} lacks: all after it is shifted"
    return None


def _token(token: Any, config: Any) -> str:
    for kind in ("bos", "eos"):
        known = config.get(f"{kind}_token_id") if isinstance(config, dict) else None
        if int(token) in (known if isinstance(known, list) else [known]):
            return f"{kind.upper()} (token {int(token)})"
    return f"token {int(token)}"


def _plainly(mine: Ids, other: Ids) -> str:
    if mine.size != other.size:
        return f"has {mine.size} elements in the reference and {other.size} in the candidate"
    unequal = np.flatnonzero(mine != other)
    at = int(unequal[0])
    return f"differs at {len(unequal)} of {mine.size} places, first at {at}: {mine[at]} and {other[at]}"
