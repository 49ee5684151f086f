"""How ggml's processor kernels round what a stored matrix is multiplied by, and what each type leaves of a weight.

N rows, I channels in.
"""

from collections.abc import Callable

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
"""SQNR of any row of a weight, in dB, below which it is not what the type leaves: 3 dB less than ggml's quantizers left
in the worst row of 512 or 4096 elements, normal, Laplace or Student's t with 5 degrees of freedom."""


def narrowed(dtype: torch.dtype) -> Rounding:
    return lambda given: given.to(dtype).to(given.dtype)


def in_q8_0(given: torch.Tensor) -> torch.Tensor:
    """ggml's Q8_0: whole numbers of eight bits, a float16 scale for each 32 channels."""
    blocks = given.float().reshape(-1, 32)
    largest = blocks.abs().amax(-1, keepdim=True)
    whole = (blocks * torch.where(largest > 0, 127 / largest, 0)).round()
    return (whole * (largest / 127).half().float()).reshape(given.shape).to(given.dtype)


def in_q8_k(given: torch.Tensor) -> torch.Tensor:
    """ggml's Q8_K: a float32 scale for each 256 channels, whose largest is -127."""
    blocks = given.float().reshape(-1, 256)
    at = blocks.abs().argmax(-1, keepdim=True)
    largest = blocks.gather(-1, at)
    inverse = torch.where(largest != 0, -127 / largest, 0)
    whole = (blocks * inverse).round().clamp(max=127)
    return (whole * torch.where(inverse != 0, 1 / inverse, 0)).reshape(given.shape).to(given.dtype)


def rounding_of(kind: str) -> Rounding | None:
    """Of what is multiplied by a matrix of that type; None where nothing is rounded."""
    if kind in ("F16", "BF16"):
        return narrowed(torch.float16 if kind == "F16" else torch.bfloat16)
    if kind in ("F32", "F64") or kind.startswith("int"):
        return None
    return in_q8_0 if kind.endswith(("_0", "_1", "_NL")) else in_q8_k
