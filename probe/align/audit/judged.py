"""What was done to a matrix whose vectors point where the reference's do: rounded, scaled, quantized, ..."""

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.comparison import Comparison, Layout, Value, is_quantized_type
from probe.align.audit.sketched import ALIKE, Vectors, alive_rows, both_alive, distances
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.dump.weight import NUM_PROJECTIONS

MOST = 0.9
"""Share of the vectors that must be alike: padding rows of a vocabulary and dead rows may not."""
RESOLVED = 3e-7
"""Relative squared distance that float16 projections cannot tell from none."""
ROUNDING = {dtype: unit**2 / 3 for dtype, unit in UNIT_ROUNDOFF.items()}
"""Relative squared error of storing in a dtype, at most: errors are uniform in +-u |x|."""
DEVIATIONS = 5.0
"""Standard deviations by which an estimate may exceed that; of n vectors, 8 n projections, one is sqrt(2 / 8 n)."""
SMALL_FLOATS_SUBNORMAL = 2.0
"""fp8 weights reach its subnormals, which are coarser."""
FEWEST_SCALED = 4
"""Vectors that make a part."""
SAME_FACTOR = 0.98
"""Share of a part's vectors that must have its factor: subnormal ones of fp8 may not."""
FAR_SCALED = 0.1
"""Relative difference of one row's factor from the other rows' that no rounding makes."""


def judged(
    own: Vectors, other: Vectors, dtypes: tuple[str, ...], layout: Layout, head_dim: int = 0, digest: int = 0
) -> Comparison:
    """What was done to values whose directions agree."""
    both = both_alive(own, other)
    apart = distances(own, other)
    alike = both & (apart < ALIKE)
    noise = float(apart[alike].mean(dtype=np.float64))
    ratios = other.norms[: len(both)][alike].astype(np.float64) / own.norms[: len(both)][alike]
    factor = float(np.median(ratios))
    spread = float(np.median(np.abs(ratios / factor - 1)))
    small = [ROUNDING[dtype] * SMALL_FLOATS_SUBNORMAL for dtype in dtypes if dtype.startswith("float8")]
    margin = 1 + DEVIATIONS * np.sqrt(2 / (NUM_PROJECTIONS * alike.sum()))
    rounded = noise <= margin * (max([ROUNDING["bfloat16"], *small]) + RESOLVED)
    sure = max(1e-3, 2 * max(UNIT_ROUNDOFF.get(dtype, 0.0) for dtype in dtypes)) if rounded else 0.03 + noise
    equal = noise <= RESOLVED and len(set(dtypes)) == 1
    value, constant = Value.EQUAL if equal else Value.ROUNDED if rounded else Value.PERTURBED, 0.0
    independent = 1e-3 + DEVIATIONS * np.sqrt(noise / own.length)
    if spread > (independent if any(map(is_quantized_type, dtypes)) else sure + np.sqrt(noise)):
        value = Value.VECTORS_SCALED
    elif abs(factor - 1) > sure:
        value, constant = Value.SCALED, factor
    step = _step(ratios, sure + np.sqrt(noise))
    if step:
        return Comparison(layout, Value.PARTLY_SCALED, step[1], noise, step[0], head_dim, digest)
    share = float(alike.sum() / max(1, alive_rows(own, other).sum()))
    away = float((np.abs(ratios / factor - 1) > FAR_SCALED + 5 * np.sqrt(noise)).mean())
    if value is not Value.VECTORS_SCALED and away > 1 - MOST:
        value, constant, share = Value.PARTLY, 0.0, 1 - away
    return Comparison(layout, value, share, noise, constant, head_dim, digest, own.axis)


def _step(ratios: NDArray[np.float64], tolerance: float) -> tuple[float, float] | None:
    """(factor, share): some of the vectors have that factor, and all others none. Folded norms and quantizers' scales
    have as many factors as vectors."""
    changed = np.abs(ratios - 1) > tolerance
    if not FEWEST_SCALED <= changed.sum() <= len(ratios) - FEWEST_SCALED:
        return None
    factor = float(np.median(ratios[changed]))
    alike = np.abs(ratios[changed] / factor - 1) <= tolerance
    return (factor, float(changed.mean())) if alike.mean() > SAME_FACTOR else None
