"""What one weight is beside another: its layout and what happened to its values."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from probe.dump import Axis


class Layout(StrEnum):
    """How the candidate's vectors are ordered."""

    PLAIN = "plain"
    TRANSPOSED = "transposed"
    AXES = "axes moved"
    """Of three axes and more: a convolution's kernel as [height, width, in, out], for one."""
    PERMUTED = "permuted"
    HALVES_INTERLEAVED = "half-split to interleaved"
    """Row j and j + D/2 of a head became rows 2j and 2j + 1, as rotary embeddings of the other layout want them."""
    INTERLEAVED_HALVED = "interleaved to half-split"


class Value(StrEnum):
    """What the candidate's numbers are."""

    EQUAL = "equal"
    ROUNDED = "rounded"
    """Within what storage in a float dtype does."""
    OFFSET = "offset"
    """A constant was added to all: 1 where a norm's (1 + w) was folded."""
    SCALED = "scaled"
    """All were multiplied by one constant."""
    PARTLY_SCALED = "partly scaled"
    """Some vectors were multiplied by one constant, and the others by none: a shard, an expert."""
    VECTORS_SCALED = "scaled one by one"
    """Each row, or each column, has a factor of its own: a norm or a quantizer's scale."""
    PERTURBED = "perturbed"
    """Close, but further off than any float dtype's rounding: quantized, fine-tuned, ..."""
    CONSTANT = "constant"
    PARTLY = "partly"
    """Some rows are the reference's."""
    SAME_NORMS = "same norms"
    """Row by row of equal norm, in other directions: multiplied by a rotation?"""
    UNCLEAR = "unclear"
    """Too few vectors to tell a coarse quantization from another weight."""
    UNSEEN = "unseen"
    """Its numbers are not in the dump."""
    NONFINITE = "not finite"
    """It has a NaN or an infinity that the reference has not."""
    OTHER = "other"


LIKE = (
    *(Value.EQUAL, Value.ROUNDED, Value.OFFSET, Value.SCALED),
    *(Value.PARTLY_SCALED, Value.VECTORS_SCALED, Value.PERTURBED),
)
"""The reference's own weight, whatever was done to it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A reference weight beside what the candidate has in its place."""

    layout: Layout
    value: Value
    share: float = 1.0
    """Of the reference's vectors, those that the place holds; where they are partly scaled, those that are."""
    noise: float = 0.0
    """||c - r||^2 / ||r||^2 across directions, estimated from projections: resolved down to 1e-7."""
    constant: float = 0.0
    """The factor, the offset, or the constant."""
    head_dim: int = 0
    """Of a rotary permutation."""
    digest: int = 0
    """Tells one permutation from another."""
    axis: Axis | None = None
    """Of the reference's vectors that were compared."""

    @property
    def is_same_weight(self) -> bool:
        return self.value in LIKE

    @property
    def sqnr_db(self) -> float:
        """10 log10(||r||^2 / ||c - r||^2)."""
        return float("inf") if self.noise <= 0 else float(-10 * np.log10(self.noise))

    @property
    def signature(self) -> tuple[object, ...]:
        """What must be alike in all layers."""
        offset = round(self.constant, 1) if self.value is Value.OFFSET else 0.0
        return self.layout, self.head_dim, self.digest, offset


def permutation_layout(order: NDArray[np.int64]) -> tuple[Layout, int]:
    """(layout, head size): the rotary layout that `order` (reference row -> candidate row) is, for all heads alike."""
    count = len(order)
    for head_dim in (d for d in range(4, count + 1, 2) if count % d == 0):
        rows = np.arange(count)
        head, inner = rows - rows % head_dim, rows % head_dim
        half = head_dim // 2
        interleaved = head + 2 * (inner % half) + inner // half
        if np.array_equal(order, interleaved):
            return Layout.HALVES_INTERLEAVED, head_dim
        if np.array_equal(order[interleaved], rows):
            return Layout.INTERLEAVED_HALVED, head_dim
    return Layout.PERMUTED, 0


def permutation_digest(order: NDArray[np.int64]) -> int:
    return hash(order.astype(np.int64).tobytes())


def is_quantized_type(stored: str) -> bool:
    """Whether numbers of this dtype need scales, which lie elsewhere."""
    return stored in ("int8", "uint8") or stored.startswith("float8")
