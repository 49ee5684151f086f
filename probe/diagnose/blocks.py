"""How ggml's processor kernels round what a stored matrix is multiplied by, and what each type leaves of a weight.

N rows, I channels in.
"""

from collections.abc import Callable
from functools import partial

import torch

Rounding = Callable[[torch.Tensor], torch.Tensor]

LEAST_DB = {
    "F16": 68,
    "BF16": 50,
    "Q8_0": 38,
    "Q6_K": 28,
    "Q5_1": 22,
    "Q5_0": 19,
    "Q5_K": 23,
    "Q4_1": 16,
    "Q4_0": 13,
    "Q4_K": 16,
    "IQ4_NL": 16,
    "IQ4_XS": 15,
    "Q3_K": 10,
    "Q2_K": 5,
}
"""SQNR of any row of a weight, in dB, below which it is not what the type leaves, of the types that are known: 3 dB
less than ggml's quantizers left in the worst row of 512 or 4096 elements, normal, Laplace or Student's t with 5 degrees
of freedom."""
LEAN = 2.0**-22
"""Relative, of a number before it becomes a whole one: as far as three roundings to float32 move it. Kernels multiply
by 127 / largest, or by the inverse of largest / 127: so near the middle between two numbers they go either way."""


def rounding_of(kind: str, lean: float = 0.0) -> Rounding | None:
    """Of what is multiplied by a matrix of that type; None where nothing is rounded, or it is not known.

    `lean` is by how much of themselves numbers grow before they become whole ones.
    """
    if kind in NARROWED:
        return partial(narrowed, NARROWED[kind])
    known = next((rounding for rounding, kinds in IN_BLOCKS.items() if kind in kinds), None)
    return partial(known, lean=lean) if known else None


def narrowed(dtype: torch.dtype, given: torch.Tensor) -> torch.Tensor:
    return given.to(dtype).to(given.dtype)


def in_q8_0(given: torch.Tensor, lean: float = 0.0) -> torch.Tensor:
    """ggml's Q8_0 and Q8_1: whole numbers of eight bits, a float16 scale for each 32 channels."""
    whole, scale = _in_32(given, lean)
    return (whole * scale.half().float()).reshape(given.shape).to(given.dtype)


def lost_of_sums(given: torch.Tensor, lean: float = 0.0) -> torch.Tensor:
    """[..., I / 32]: what Q8_1's sum of each 32 channels, which is a float16 of its own, has more than they have."""
    whole, scale = _in_32(given, lean)
    sums = (whole.sum(-1, keepdim=True) * scale).half().float()
    return (sums - whole.sum(-1, keepdim=True) * scale.half().float()).reshape(*given.shape[:-1], -1).to(given.dtype)


def _in_32(given: torch.Tensor, lean: float) -> tuple[torch.Tensor, torch.Tensor]:
    blocks = given.float().reshape(-1, 32)
    largest = blocks.abs().amax(-1, keepdim=True)
    return _whole(blocks * torch.where(largest > 0, 127 / largest, 0), lean), largest / 127


def in_q8_k(given: torch.Tensor, lean: float = 0.0) -> torch.Tensor:
    """ggml's Q8_K: a float32 scale for each 256 channels, whose largest is -127."""
    blocks = given.float().reshape(-1, 256)
    at = blocks.abs().argmax(-1, keepdim=True)
    largest = blocks.gather(-1, at)
    inverse = torch.where(largest != 0, -127 / largest, 0)
    whole = _whole(blocks * inverse, lean).clamp(max=127)
    return (whole * torch.where(inverse != 0, 1 / inverse, 0)).reshape(given.shape).to(given.dtype)


def _whole(numbers: torch.Tensor, lean: float) -> torch.Tensor:
    return (numbers.double() * (1 + lean)).round().float() if lean else numbers.round()


NARROWED = {"F16": torch.float16, "BF16": torch.bfloat16}
IN_BLOCKS: dict[Callable[..., torch.Tensor], tuple[str, ...]] = {
    in_q8_0: ("Q8_0", "Q5_0", "Q4_0", "IQ4_NL", "Q5_1", "Q4_1"),
    in_q8_k: ("Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "IQ4_XS"),
}
