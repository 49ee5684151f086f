"""Which axes of the two factors and of the result of a product are what: named by letters, as einsum has them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from probe.replay.program import Call, Program

_MATMULS = {"matmul": (0, 1), "__matmul__": (0, 1), "bmm": (0, 1), "baddbmm": (1, 2)}
"""Where the two factors stand among the arguments."""

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Axes:
    """Which axes of a tensor are what."""

    tokens: int
    channels: int
    heads: int | None
    """None where heads stand in several axes, or in one together with the batch."""

    def changed(self, tensor: torch.Tensor, change: Change) -> torch.Tensor:
        """`change` is given (..., H, T, D), or (..., T, D) where heads are not known; other axes as they are."""
        here = (self.tokens, self.channels) if self.heads is None else (self.heads, self.tokens, self.channels)
        there = tuple(range(-len(here), 0))
        return change(tensor.movedim(here, there)).movedim(there, here)


def is_product(call: Call) -> bool:
    return call.name in _MATMULS or (call.name == "einsum" and len(call.args) == 3)


def letters_of(program: Program, call: Call) -> tuple[str, str, str, tuple[int, int]] | None:
    """Axes of both factors and of the product, and where the factors stand; None of an einsum with dots."""
    if call.name == "einsum":
        equation = str(call.args[0]).replace(" ", "")
        factors, arrow, result = equation.partition("->")
        first, comma, second = factors.partition(",")
        return (first, second, result, (1, 2)) if arrow and comma and "." not in equation else None
    places = _MATMULS[call.name]
    dims = [program.value(call.args[place]).dim() for place in places]
    if min(dims) < 2 or len(set(dims)) > 1:
        return None
    batch = "uvwxyz"[: dims[0] - 2]
    return f"{batch}td", f"{batch}ds", f"{batch}ts", places


def named(letters: str, tokens: str, channels: str, heads: str) -> Axes:
    at = {letter: index - len(letters) for index, letter in enumerate(letters)}
    return Axes(at[tokens], at[channels], at[heads] if heads else None)
