"""Choices made by comparing numbers, as a router's of its experts: on a near tie rounding decides, and either is right.

N rows of V numbers each, of which K are chosen.
"""

from dataclasses import dataclass
from typing import Any

import torch

NEAR = 8.0
"""In roundings of the largest number chosen: two numbers of which each may move by 4, as much as is no fault yet."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen from, along its last axis."""

    numbers_NV: torch.Tensor
    near_N1: torch.Tensor
    """Numbers that are no further apart may change places."""
    undecided_N: torch.Tensor
    """Whether the last number chosen and the first one that was not are so near; of a sort, any two neighbours."""

    def as_good(self, chosen: torch.Tensor, other: torch.Tensor) -> torch.Tensor | None:
        """Of each index of a row's K, in any shape: whether the other one stands for a number as large."""
        num_rows, length = self.numbers_NV.shape
        if chosen.numel() % num_rows:
            return None
        one_NK, other_NK = (index.reshape(num_rows, -1).long() for index in (chosen, other))
        numbers_NK, others_NK = (self.numbers_NV.gather(1, i.clamp(0, length - 1)) for i in (one_NK, other_NK))
        near_NK = (numbers_NK - others_NK).abs() <= self.near_N1
        return (near_NK & (other_NK >= 0) & (other_NK < length)).reshape(chosen.shape)


def choice(function: str, args: tuple[Any, ...], kwargs: dict[str, Any], roundoff: float) -> Choice | None:
    """What a torch call chose from, if it did so by comparing floating-point numbers along the last axis."""
    given = args[0] if args else kwargs.get("input")
    if function not in CHOOSING or not isinstance(given, torch.Tensor) or not given.is_floating_point():
        return None
    names, default_axis = CHOOSING[function]
    words = dict(zip(names, args[1:], strict=False)) | kwargs
    axis = words.get("dim", default_axis)
    if not isinstance(axis, int) or axis not in (-1, given.dim() - 1) or given.shape[-1] < 2 or not given.numel():
        return None
    numbers_NV = given.detach().reshape(-1, given.shape[-1])
    length = numbers_NV.shape[1]
    count = min(int(words.get("k", length if "sort" in function else 1)), length - 1)
    largest = words.get("largest", function not in ("min", "argmin"))
    best_NK = numbers_NV.topk(count + 1, largest=largest).values
    scale_N1 = best_NK[:, :count].nan_to_num(posinf=0.0, neginf=0.0).abs().amax(1, keepdim=True)
    near_N1 = NEAR * roundoff * scale_N1
    near_NK = best_NK.diff(dim=1).abs() <= near_N1
    return Choice(numbers_NV, near_N1, near_NK.any(1) if "sort" in function else near_NK[:, -1])


CHOOSING: dict[str, tuple[tuple[str, ...], int | None]] = {
    "topk": (("k", "dim", "largest"), -1),
    "argmax": (("dim",), None),
    "argmin": (("dim",), None),
    "max": (("dim",), None),
    "min": (("dim",), None),
    "sort": (("dim",), -1),
    "argsort": (("dim",), -1),
}
"""By name of a torch call that chooses: what it is given after the numbers, and its axis where it is given none."""


HIDDEN = 0.25
"""Of scores that rounding moves by so much and more, softmax is anyone's guess."""


def sees_nothing(function: str, args: tuple[Any, ...], kwargs: dict[str, Any], roundoff: float) -> torch.Tensor | None:
    """[B * T]: tokens that see none, in softmax over scores (B, H, T, S) that are masked by a large number.

    All are hidden alike, so the mask's own rounding decides: padding on the left asks so, and nobody reads its answer.
    """
    scores = args[0] if args else kwargs.get("input")
    if function != "softmax" or not isinstance(scores, torch.Tensor) or scores.dim() != 4 or not scores.numel():
        return None
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if dim not in (-1, 3) or not scores.is_floating_point():
        return None
    nothing_BT = (scores.detach().amax(-1) < -HIDDEN / roundoff).any(1) if roundoff else None
    return None if nothing_BT is None or not bool(nothing_BT.any()) else nothing_BT.flatten()


def either(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    """[N]: rows that either of two choices left undecided; of choices in other rows the first alone."""
    if one is None or other is None or one.shape != other.shape:
        return other if one is None else one
    return one | other


def in_rows(rows_N: torch.Tensor | None, shape: tuple[int, ...]) -> torch.Tensor | None:
    """As a mask that broadcasts over [N, ...] or [B, T, ...]; None for a tensor without such rows."""
    if rows_N is None:
        return None
    for axes in (1, 2):
        if len(shape) >= axes and torch.Size(shape[:axes]).numel() == len(rows_N):
            return rows_N.reshape(*shape[:axes], *[1] * (len(shape) - axes))
    return None
