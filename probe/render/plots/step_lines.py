"""A thin line for each step of a sequence, in shades that a bar names."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from probe.render.plots import style
from probe.render.plots.by_step import BySteps
from probe.render.plots.columns import columns
from probe.render.plots.logarithm import Logarithm

MOST_LINES = 48
"""Of more steps so many are drawn, evenly, and those around the one from which errors stand out."""
NAMED = 0.16
"""Inches of the bar that a name takes."""
THIN, THICK = 0.6, 1.5


def draw_steps(axes: Axes, found: BySteps, axis: Logarithm, num_places: int) -> None:
    """Thick where errors begin to stand out."""
    shades, few = _shades(len(found.names)), len(found.names) <= 12
    for step in drawn(found):
        at, most, _ = columns(found.at, axis.place(found.errors[step]), num_places)
        width = THICK if step == found.begins else 0.9 if few else THIN
        axes.plot(
            at, most, color=shades[step], linewidth=width, zorder=2.9 if step == found.begins else 2.8,
            label=f"tokens of {found.names[step]}",
        )  # fmt: skip


def drawn(found: BySteps) -> list[int]:
    """Which steps have a line: first and last always."""
    count = len(found.names)
    evenly = np.linspace(0, count - 1, min(count, MOST_LINES)).round().astype(int).tolist()
    around = [found.begins - 1, found.begins] if found.begins else []
    return sorted({*evenly, *around})


def draw_bar(figure: Figure, axes: Axes, found: BySteps) -> None:
    """Which shade is which step. All are named, or where there is no room the first, the last, and the one from which
    errors stand out."""
    count = len(found.names)
    shades = ScalarMappable(Normalize(-0.5, count - 0.5), ListedColormap(_shades(count)))
    bar = figure.colorbar(shades, cax=axes)
    room = axes.get_position().height * figure.get_figheight()
    named = list(range(count)) if count * NAMED <= room else [0, count - 1]
    if found.begins is not None:
        near = NAMED / room * count
        named = [step for step in named if abs(step - found.begins) >= near] + [found.begins]
    bar.set_ticks(sorted(named), labels=[found.names[step] for step in sorted(named)])
    bar.ax.minorticks_off()
    bar.ax.invert_yaxis()


def legend_of(found: BySteps) -> Line2D:
    shade = _shades(len(found.names))[len(found.names) // 2]
    return Line2D([], [], color=shade, linewidth=0.9, label="of the tokens of one step")


def notes_of(found: BySteps) -> list[str]:
    """Where errors begin, and what the lines do not show."""
    begins, left = [], []
    if found.begins:
        name = found.names[found.begins]
        begins.append(f"from {name} on, the thick line, errors stand out where the two first diverge")
    if found.num_other:
        left.append(f"lines of steps are of sequence {found.sequence}, and not of {found.num_other} more")
    if (count := len(drawn(found))) < len(found.names):
        left.append(f"{count} of {len(found.names)} steps have a line")
    if found.num_unread:
        left.append(f"{found.num_unread} of {found.num_unread + len(found.at)} taps were not read for them")
    return [*begins, *(["; ".join(left)] if left else [])]


def _shades(count: int) -> list[str]:
    """The first is dark."""
    return [to_hex(shade) for shade in colormaps[style.SEQUENCE](np.linspace(0, 0.9, count))]
