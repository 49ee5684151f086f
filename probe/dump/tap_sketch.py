"""What a dump tells of a tensor by its sketch: projections of each token, and its norm.

N tokens (all axes but the last), C channels, K projections.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.dump.detail import Detail, sketch_dtype
from probe.dump.dtypes import LARGEST, Bits
from probe.dump.projection import projected, projection
from probe.tap import Tap

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TapSketch:
    """Of one tensor."""

    projections: NDArray[np.float64]
    """(N, K): linear in the tensor, so a difference of two is the difference's."""
    norms: NDArray[np.float64]
    """(N,): Euclidean, of what is finite."""


def sketch_of(stored: Bits) -> TapSketch:
    """Of a dataset [..., K + 1] of a dump."""
    rows = stored.reshape(-1, stored.shape[-1]).astype(np.float64)
    return TapSketch(rows[:, :-1], rows[:, -1])


def sketch_of_values(blocks: Iterable[Bits], tap: Tap, detail: Detail) -> TapSketch:
    """Of whole tokens' values, block by block, as numbers."""
    num_channels = tap.shape[-1]
    by = projection(num_channels, detail.num_projections, detail.seed)
    kind = np.dtype(sketch_dtype(tap.dtype))
    projections, norms = [], []
    for block in blocks:
        x_NC = block.reshape(-1, num_channels).astype(kind)
        is_finite = np.isfinite(x_NC) & (x_NC > -0.99 * LARGEST.get(tap.dtype, np.inf))
        filled = x_NC if is_finite.all() else np.where(is_finite, x_NC, np.where(x_NC < 0, -1, 1)).astype(kind)
        projections.append(projected(filled, by).astype(np.float64))
        norms.append(np.sqrt(np.square(np.where(is_finite, x_NC, 0), dtype=np.float64).sum(axis=1)))
    return TapSketch(np.concatenate(projections), np.concatenate(norms))
