"""A logarithmic axis that leaves nothing out: below its lowest decade lies 0, above its highest infinity and NaN."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from probe.render.plots.style import FAINT, power

Places = NDArray[np.float64]
DEEPEST, HIGHEST = -12, 12
"""Decades that an axis has at most; what lies beyond is drawn at its end."""


@dataclass(frozen=True, slots=True)
class Logarithm:
    """Places are decades: log10 of a number."""

    low: int
    high: int
    is_cut: bool
    """Some numbers lie below `low`, and are drawn there."""
    has_zero: bool
    has_infinity: bool
    has_nan: bool

    @property
    def zero(self) -> float:
        return self.low - 0.7

    @property
    def infinity(self) -> float:
        return self.high + 0.7

    @property
    def nan(self) -> float:
        return self.infinity + (0.7 if self.has_infinity else 0.0)

    def place(self, numbers: Places) -> Places:
        """Where each number is drawn."""
        with np.errstate(all="ignore"):
            decades = np.clip(np.log10(numbers), self.low, self.high)
        found = np.where(numbers <= 0, self.zero, decades)
        found = np.where(np.isposinf(numbers), self.infinity, found)
        return np.where(np.isnan(numbers), self.nan, found)

    def scale(self, axes: Axes) -> None:
        """Ticks of at most nine decades, and of what lies beyond."""
        lowest = f"<{power(self.low)}" if self.is_cut else power(self.low)
        apart = math.ceil((self.high - self.low) / 8)
        ticks = {float(decade): power(decade) for decade in range(self.low + apart, self.high + 1, apart)}
        ticks[float(self.low)] = lowest
        beyond = (
            (self.has_zero, self.zero, "0"),
            (self.has_infinity, self.infinity, "inf"),
            (self.has_nan, self.nan, "NaN"),
        )
        for is_there, at, name in beyond:
            if is_there:
                ticks[at] = name
                axes.axhline(self.low if at < self.low else self.high, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_yticks(list(ticks), labels=list(ticks.values()))
        bottom = self.zero - 0.35 if self.has_zero else self.low
        top = max([self.high, *(at + 0.35 for is_there, at, _ in beyond[1:] if is_there)])
        axes.set_ylim(bottom, top)


def logarithm(*numbers: Places, low: int, high: int) -> Logarithm:
    """An axis from 10^low to 10^high at least, and as much more as these numbers need."""
    together = np.concatenate([np.ravel(one) for one in numbers]) if numbers else np.zeros(0)
    is_cut = bool(((together > 0) & (together < 10.0**DEEPEST)).any())
    positive = together[np.isfinite(together) & (together > 0)]
    if positive.size:
        low = max(DEEPEST, min(low, math.floor(math.log10(float(positive.min())))))
        high = min(HIGHEST, max(high, math.ceil(math.log10(float(positive.max())))))
    has_zero, has_infinity = bool((together == 0).any()), bool(np.isposinf(together).any())
    return Logarithm(low, high, is_cut, has_zero, has_infinity, bool(np.isnan(together).any()))
