"""The figures that a row's cell may show: how each is read from a report or a dump, and where its colours begin."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from probe.report import TapComparison
from probe.tap import Tap
from probe.words import number

Value = float | None
"""None: not known."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a tap, on a logarithmic scale with fixed ends, so that two runs look alike."""

    key: str
    title: str
    legend: str
    of_pair: Callable[[TapComparison], Value]
    lowest: float
    """log10 at the dark end of the colours."""
    highest: float
    """log10 at the bright end."""
    text: Callable[[float], str] = number

    def heat(self, value: float) -> float:
        """0 to 1; NaN and infinity are the brightest."""
        if not math.isfinite(value):
            return 1.0
        if value <= 0:
            return 0.0
        return min(max((math.log10(value) - self.lowest) / (self.highest - self.lowest), 0.0), 1.0)


def _ratio_text(ratio: float) -> str:
    if ratio >= 1e6:
        return number(ratio)
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}"


def _away(row: TapComparison) -> Value:
    """1 - cosine: what is left of it where two tensors point the same way."""
    return None if math.isnan(row.cosine) else max(1 - row.cosine, 0.0)


RATIO = Figure(
    "ratio", "own/floor", "own error over the rounding floor", lambda row: row.ratio, 0, 4,
    _ratio_text,
)  # fmt: skip
ERROR = Figure("rel_l2", "rel. error", "what came in included", lambda row: row.rel_l2, -7, 0)
COSINE = Figure("cosine", "1 - cosine", "of both sides", _away, -14, 0)
OF_PAIRS = (RATIO, ERROR, COSINE)


def rms(tap: Tap) -> Value:
    """Root mean square of a recorded tensor: all that its row in the table tells of its size."""
    return tap.statistics.l2 / math.sqrt(tap.num_elements) if tap.num_elements else None


RMS = Figure("rms", "rms", "root mean square", lambda row: None, -4, 2)
