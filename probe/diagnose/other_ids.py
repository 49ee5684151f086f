"""How the tokens, positions or masks of two runs differ, in the words of what usually went wrong.

B sentences of T tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """What both sides have, and a sentence about it."""

    reference: int | str
    candidate: int | str
    message: str


def of_tokens(ours: Tensor, theirs: Tensor, counts: Tensor) -> Difference:
    """(..., T) all three; `counts` says of which tokens it is asked."""
    ours_BT, theirs_BT, counts_BT = (ids.reshape(-1, ids.shape[-1]) for ids in (ours, theirs, counts))
    wrong = (ours_BT != theirs_BT) & counts_BT
    place = _first(wrong)
    mine, other = int(ours_BT[place]), int(theirs_BT[place])
    many = f"{int(wrong.sum())} of {int(counts.sum())} tokens are others"
    for side, long, short in (("candidate", theirs_BT, ours_BT), ("reference", ours_BT, theirs_BT)):
        if long.shape[1] > 2 and torch.equal(long[:, 1:], short[:, :-1]):
            what = f"token {int(long[0, 0])} stands in front in the {side}, and all after it is one place later"
            return Difference("", f"one in front in the {side}", f"{what}: look for a BOS token that one side adds")
    if int(wrong.sum()) > 1 and bool((theirs_BT[wrong] == other).all()):
        message = f"{many}: each is looked up as token {other}, the first in the place of token {mine}, {_where(place)}"
        return Difference(mine, other, f"{message}; look for ids that are masked or clamped before the lookup")
    shift = _shift(ours_BT, theirs_BT, counts_BT)
    if shift is not None:
        message = f"every token is looked up {shift:+d} rows away: token {mine} as {other}, and so on"
        return Difference(0, shift, f"{message}; look for an offset of ids, or for rows added to the table")
    message = f"{many}: token {other} is looked up {_where(place)}, where the reference has token {mine}"
    return Difference(mine, other, message)


def of_positions(ours: Tensor, theirs: Tensor, counts: Tensor) -> Difference:
    """As `of_tokens`."""
    ours_BT, theirs_BT, counts_BT = (ids.reshape(-1, ids.shape[-1]) for ids in (ours, theirs, counts))
    shift = _shift(ours_BT, theirs_BT, counts_BT)
    if shift is not None:
        what = f"positions are {abs(shift)} {'later' if shift > 0 else 'earlier'} than the reference's, everywhere"
        return Difference(0, shift, f"{what}: look for an offset into the table, or a table that lacks its first rows")
    wrong = (ours_BT != theirs_BT) & counts_BT
    place = _first(wrong)
    mine, other = int(ours_BT[place]), int(theirs_BT[place])
    if bool((theirs_BT == other)[counts_BT].all()):
        message = f"all tokens have position {other}: look for positions that nobody counts"
        return Difference("one a token", other, message)
    counted = torch.arange(theirs_BT.shape[1], device=theirs_BT.device)
    if bool((theirs_BT == counted)[counts_BT].all()):
        what = "positions count every token from 0, where the reference's do not"
        return Difference(
            "as handed over", "0, 1, 2, ...", f"{what}: look for position_ids that are not used, or padding that counts"
        )
    if other == 0 and bool((theirs_BT[:, place[1] :] == counted[: len(counted) - place[1]]).all()):
        message = f"positions are counted from 0 again at token {place[1]}"
        return Difference("counted on", f"from zero at {place[1]}", f"{message}: look for a chunk whose start is lost")
    many = f"{int(wrong.sum())} of {int(counts.sum())} positions are others"
    return Difference(mine, other, f"{many}: {other} {_where(place)}, where the reference has {mine}")


def of_masks(ours: Tensor, theirs: Tensor, counts: Tensor) -> Difference:
    """As `of_tokens`: 1 or true where a token is seen."""
    hidden = [int(((mask == 0) & counts).sum()) for mask in (ours, theirs)]
    wrong = ((ours != theirs) & counts).reshape(-1, ours.shape[-1])
    message = (
        f"the mask hides {hidden[1]} tokens where the reference's hides {hidden[0]}, first {_where(_first(wrong))}"
    )
    what = f"{message}: look for an attention_mask that is made anew, or for its meaning turned round"
    return Difference(f"hides {hidden[0]}", f"hides {hidden[1]}", what)


def _shift(ours: Tensor, theirs: Tensor, counts: Tensor) -> int | None:
    """By how much all of `theirs` are more; None where that is not one number."""
    shifts = (theirs - ours)[counts]
    return int(shifts[0]) if bool((shifts == shifts[0]).all()) else None


def _first(wrong_BT: Tensor) -> tuple[int, int]:
    row, column = wrong_BT.nonzero()[0].tolist()
    return row, column


def _where(place: tuple[int, int]) -> str:
    return f"at place {place[1]}" + (f" of sentence {place[0]}" if place[0] else "")
