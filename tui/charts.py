"""Pictures made of characters: bars, and grids of shades. Brightness and shade both rise with the number."""

from collections.abc import Sequence

import numpy as np
from rich.style import Style
from rich.text import Text

from probe.views import Grid, shrunk
from tui import heat
from tui.depth import BARS

SHADES = " \N{MIDDLE DOT}\N{LIGHT SHADE}\N{MEDIUM SHADE}\N{DARK SHADE}\N{FULL BLOCK}"


PAPER = heat.colour(0.0)


def bars(counts: Sequence[float], height: int, style: str = "") -> Text:
    """A column for each number, `height` lines high at the largest."""
    largest = max(counts, default=0.0) or 1.0
    eighths = [round(count / largest * height * 8) for count in counts]
    eighths = [max(size, 1) if count else 0 for size, count in zip(eighths, counts, strict=True)]
    lines = ["".join(BARS[min(max(size - 8 * level, 0), 8)] for size in eighths) for level in reversed(range(height))]
    return Text("\n".join(lines), style=style, no_wrap=True)


def shaded(grid: Grid, num_rows: int, num_columns: int, lowest: float, highest: float) -> list[Text]:
    """A line for each row of the grid, which is shrunk to what there is room for. Shades run from `lowest` to
    `highest`; NaN and infinity are the brightest."""
    small = shrunk(grid, num_rows, num_columns)
    with np.errstate(all="ignore"):
        levels = np.clip((small - lowest) / ((highest - lowest) or 1.0), 0.0, 1.0)
    levels[np.isnan(small)] = 1.0
    return [_line(row) for row in levels]


def _line(levels: Grid) -> Text:
    line = Text(no_wrap=True)
    for level in levels:
        shade = SHADES[min(int(level * len(SHADES)), len(SHADES) - 1)]
        line.append(shade, Style(color=heat.colour(float(level)), bgcolor=PAPER))
    return line


def log_grid(grid: Grid, smallest: float) -> Grid:
    """log10, with nothing below that of `smallest`."""
    with np.errstate(all="ignore"):
        return np.asarray(np.log10(np.maximum(grid, smallest)), np.float64)


def side_by_side(left: Sequence[Text], right: Sequence[Text], gap: int = 3) -> list[Text]:
    """Line by line; the left ones are as long as the longest of them."""
    width = max((len(line.plain) for line in left), default=0)
    found = []
    for index in range(max(len(left), len(right))):
        line = left[index].copy() if index < len(left) else Text()
        line.append(" " * (width - len(line.plain) + gap))
        found.append(line + right[index] if index < len(right) else line)
    return found
