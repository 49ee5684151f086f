"""Maps: a grid of errors on fixed logarithmic colours, so that two runs look alike, or of signed differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probe.render.plots import style
from probe.views import Grid, shrunk

LOWEST, HIGHEST = 1e-7, 1.0
"""Ends of the colours: as in the app."""
MOST_ROWS, MOST_COLUMNS = 480, 960
"""Cells that are told apart; of more the largest in each is drawn."""
BEYOND = 2.0
"""What is drawn of a cell that is NaN or infinite on one side alone: above the brightest colour."""


def draw_errors(axes: Axes, grid: Grid, absent: NDArray[np.bool_] | None = None) -> None:
    """`grid` [rows, columns] of errors; cells that are `absent` are grey. Axes count the grid's own cells."""
    cells = np.where(np.isfinite(grid), np.clip(grid, LOWEST, HIGHEST), BEYOND)
    hidden = np.zeros(grid.shape, bool) if absent is None else absent
    small = shrunk(np.where(hidden, -1.0, cells), MOST_ROWS, MOST_COLUMNS)
    norm = LogNorm(LOWEST, HIGHEST)
    _draw(axes, np.ma.masked_less(small, 0), _colours(), norm, grid.shape)


def draw_error_scale(figure: Figure, left: float, bottom: float, height: float, rounding: float, what: str) -> None:
    """The colours' bar, in inches; what `rounding` makes is marked on it."""
    axes = style.panel(figure, left, bottom, 0.13, height)
    bar = figure.colorbar(ScalarMappable(LogNorm(LOWEST, HIGHEST), _colours()), cax=axes, extend="max", extendfrac=0.04)
    decades = [10.0**exponent for exponent in range(-7, 1)]
    names = [f"<{style.power(-7)}", *(style.power(exponent) for exponent in range(-6, 0)), ">1"]
    bar.set_ticks(decades, labels=names)
    bar.ax.minorticks_off()
    axes.set_ylabel(what)
    if LOWEST <= rounding <= HIGHEST:
        axes.axhline(rounding, color=style.PAPER, linewidth=2.2)
        axes.axhline(rounding, color=style.INK, linewidth=1.0)
        axes.annotate(
            "line: rounding", (0.5, 0), (0, -9), xycoords="axes fraction", textcoords="offset points", ha="center",
            va="top", size=style.SMALL,
        )  # fmt: skip


def draw_sizes(axes: Axes, grid: Grid, lowest: float, highest: float) -> None:
    """Numbers of one sign on logarithmic colours; zeros are paper, NaN is grey."""
    cells = np.where(grid > 0, np.clip(grid, lowest, highest), np.where(np.isnan(grid), -1.0, lowest / 10))
    small = np.ma.masked_less(shrunk(cells, MOST_ROWS, MOST_COLUMNS), 0)
    colours = colormaps[style.SEQUENCE].with_extremes(bad=style.ABSENT, under=style.PAPER)
    _draw(axes, small, colours, LogNorm(lowest, highest), grid.shape)


def draw_mask(axes: Axes, mask: NDArray[np.bool_]) -> None:
    """Filled where True; where cells are drawn together, if any is."""
    small = shrunk(mask.astype(np.float64), MOST_ROWS, MOST_COLUMNS)
    colours = ListedColormap([style.PAPER, style.REFERENCE])
    _draw(axes, small, colours, Normalize(0, 1), mask.shape)


def draw_signed(axes: Axes, grid: Grid, most: float) -> None:
    """Differences: of each block the one that is farthest from 0; NaN and infinite ones stand out."""
    cells = np.where(np.isfinite(grid), np.clip(grid, -most, most), BEYOND * most)
    above, below = shrunk(cells, MOST_ROWS, MOST_COLUMNS), -shrunk(-cells, MOST_ROWS, MOST_COLUMNS)
    colours = colormaps[style.SIGNED].with_extremes(over=style.INK)
    farthest = np.where(above >= -below, above, below)
    _draw(axes, farthest, colours, Normalize(-most, most), grid.shape)


def name_rows(axes: Axes, names: Sequence[str], height: float) -> list[int]:
    """As many names as have room in `height` inches; which rows those are."""
    apart = max(1, int(np.ceil(len(names) * 0.14 / height)))
    rows = list(range(0, len(names), apart))
    style.tick_names(axes, [float(row) for row in rows], [names[row] for row in rows])
    return rows


def _colours() -> Colormap:
    return colormaps[style.SEQUENCE].with_extremes(bad=style.ABSENT, over=style.UNKNOWN)


def _draw(axes: Axes, cells: NDArray[Any], colours: Colormap, norm: Normalize, shape: tuple[int, ...]) -> None:
    """Ticks count the cells of the grid that was, however few are drawn of it."""
    extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    axes.imshow(cells, cmap=colours, norm=norm, extent=extent, interpolation="nearest", aspect="auto")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1))
