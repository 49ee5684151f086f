"""Error over depth: what each tap's error is, what of it arose there, and what rounding alone would make."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probe.dump import Dump
from probe.errors import ProbeError
from probe.locate import ABOVE_FLOOR
from probe.render.plots import style
from probe.render.plots.by_step import BySteps, by_steps
from probe.render.plots.columns import COLUMNS, columns
from probe.render.plots.course import Course, Line, course, place_of, stacks
from probe.render.plots.flags import ROW, draw_flags, flags
from probe.render.plots.logarithm import Logarithm, logarithm
from probe.render.plots.step_lines import draw_bar, draw_steps, legend_of, notes_of
from probe.render.plots.style import styled
from probe.report import Report, Seen
from probe.words import module_name

Numbers = NDArray[np.float64]
LEFT, ROOM, HEIGHT = 0.75, 7.05, 3.0
"""Inches: left of the picture, its width and its height."""
BAR, NAMED_BAR = 0.65, 0.82
"""Inches that a bar of shades takes of its width; of one whose ticks are words."""
FEW = 6
"""Steps that have a colour, a mark and a name each; more are shades."""
MARKS = "osD^vP"
LISTED = 12
"""Findings that are listed below where there is no room beside their numbers."""


@styled
def depth(
    report: Report,
    reference: Dump | Path | str | None = None,
    candidate: Dump | Path | str | None = None,
    *,
    table: Path | str | None = None,
) -> Figure:
    """A report's errors in the order of execution, one line a step; findings are flags above.

    Steps that go on from each other are one in a report; with its two dumps (and the table that they were compared
    with) each of them has a thin line too, of its own tokens' error, so that a bug of the cache is seen at its step.
    Relative errors and floors are relative to the norm of the reference's tensor. What is 0, infinite or NaN is drawn
    on lines of their own beyond the axis. ProbeError where the report compares nothing.
    """
    found = course(report, ABOVE_FLOOR)
    if not found.names:
        raise ProbeError("this report compares no tensor of a module", hint="make it anew: probe diff REF CAND --json")
    steps = None
    if reference is not None and candidate is not None and len(found.lines) <= FEW:
        steps = by_steps(report, found, reference, candidate, table)
    axis = _axis(found, steps)
    room = ROOM - (BAR if len(found.lines) > FEW else NAMED_BAR if steps else 0.0)
    marked = flags(report, [place_of(finding, found) for finding in report.findings], len(found.names), room)
    notes = _notes(report, found) + (notes_of(steps) if steps else [])
    listed = [] if marked.is_named else _list(report)
    legends = _legends(found, steps)
    below = 0.76 + 0.2 * len(legends) + style.LINE * (len(notes) + len(listed))
    above = 0.62 + ROW * marked.num_rows
    figure = style.figure(below + HEIGHT + above)
    style.heading(figure, style.headline(report), style.about(report.reference_path, report.candidate_path))
    axes = style.panel(figure, LEFT, below, room, HEIGHT)
    axes.set_xlim(-0.5, len(found.names) - 0.5)
    _draw_floor(axes, found, axis)
    _draw_lines(axes, found, axis, steps)
    bar = (figure, style.panel(figure, LEFT + room + 0.12, below, 0.12, HEIGHT)) if room < ROOM else None
    if steps and bar:
        draw_steps(axes, steps, axis, len(found.names))
        draw_bar(*bar, steps)
    elif bar:
        _draw_shades(*bar, found)
    axis.scale(axes)
    _draw_layers(axes, found)
    axes.set_ylabel("error / norm of the reference's tensor")
    draw_flags(figure, axes, marked)
    for row, handles in enumerate(reversed(legends)):
        style.legend(figure, handles, below - 0.83 - 0.2 * (len(legends) - 1) + 0.2 * row)
    style.caption(figure, "\n".join([*listed, *notes]))
    return figure


def _axis(found: Course, steps: BySteps | None) -> Logarithm:
    """Floors of what has no rounding (masks, positions) may lie below it."""
    numbers = [line.relative for line in found.lines] + [line.local[line.is_local] for line in found.lines]
    return logarithm(*numbers, *([steps.errors] if steps else []), low=-8, high=0)


def _draw_floor(axes: Axes, found: Course, axis: Logarithm) -> None:
    """The largest of all steps at each place."""
    floor = np.full(len(found.names), -np.inf)
    for line in found.lines:
        np.maximum.at(floor, line.at[line.is_local], line.floor[line.is_local])
    known = np.flatnonzero(floor > -np.inf)
    if not known.size:
        return
    at, top, _ = columns(known, axis.place(floor[known]), len(found.names))
    _, near, _ = columns(known, axis.place(ABOVE_FLOOR * floor[known]), len(found.names))
    bottom = axis.low - 2
    axes.fill_between(at, bottom, near, step="mid", color=style.NEAR_FLOOR, linewidth=0, zorder=0.5)
    axes.fill_between(at, bottom, top, step="mid", color=style.AT_FLOOR, linewidth=0, zorder=0.6)
    axes.plot(at, near, drawstyle="steps-mid", color=style.MUTED, linewidth=0.7, linestyle=":", zorder=0.7)


def _draw_lines(axes: Axes, found: Course, axis: Logarithm, steps: BySteps | None) -> None:
    for index, line in enumerate(found.lines):
        colour, mark = _look(index, found.lines, steps)
        places = axis.place(line.relative)
        is_crowded = len(found.names) > COLUMNS
        drawn = line.is_out if line.is_out.any() and not is_crowded else np.ones_like(line.is_out)
        at, most, least = columns(line.at[drawn], places[drawn], len(found.names))
        if is_crowded:
            axes.fill_between(at, least, most, color=colour, alpha=0.25, linewidth=0, zorder=2)
        axes.plot(line.at[~drawn], places[~drawn], ".", color=colour, alpha=0.3, markersize=3, zorder=2, label="given")
        marker = mark if len(at) <= 60 else ""
        axes.plot(
            at, most, color=colour, linewidth=1.1, marker=marker, markersize=3, zorder=3, label=f"step {line.step}"
        )
        _draw_local(axes, line, axis, len(found.names), alone=len(found.lines) == 1)


def _draw_shades(figure: Figure, axes: Axes, found: Course) -> None:
    """Which shade is which step."""
    steps = [line.step for line in found.lines]
    colours = ListedColormap([_look(index, found.lines)[0] for index in range(len(steps))])
    shades = ScalarMappable(Normalize(steps[0] - 0.5, steps[-1] + 0.5), colours)
    figure.colorbar(shades, cax=axes, label="step", ticks=MaxNLocator(integer=True))


def _draw_local(axes: Axes, line: Line, axis: Logarithm, num_places: int, *, alone: bool) -> None:
    """Of several steps those alone that stand above the floor."""
    inside, own = line.is_local & ~line.is_own, line.is_own
    if alone:
        at, most, _ = columns(line.at[inside], axis.place(line.local[inside]), num_places)
        axes.plot(at, most, ".", color=style.MUTED, markersize=3, zorder=2.5, label="within")
    at, most, _ = columns(line.at[own], axis.place(line.local[own]), num_places)
    axes.plot(
        at, most, "^", color=style.CANDIDATE, markersize=6, markeredgecolor=style.PAPER, markeredgewidth=0.5, zorder=4,
        label="own",
    )  # fmt: skip


def _look(index: int, lines: tuple[Line, ...], steps: BySteps | None = None) -> tuple[str, str]:
    if steps and len(lines) == 1:
        return style.INK, "o"  # colours are its steps'
    if len(lines) <= FEW:
        return style.CYCLE[index], MARKS[index]
    red, green, blue, _ = colormaps[style.SEQUENCE](0.9 * index / (len(lines) - 1))
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}", "o"


def _draw_layers(axes: Axes, found: Course) -> None:
    """Numbers of layers where they begin, and the name of what they are layers of."""
    ticks: dict[float, str] = {}
    apart = 0.3 * len(found.names) / ROOM
    for stack in stacks(found.names):
        if stack.start:
            axes.axvline(stack.start - 0.5, color=style.FAINT, linewidth=0.8, zorder=0.4)
        for number, at in stack.layers:
            if not ticks or at - max(ticks) >= apart:
                ticks[float(at)] = str(number)
        wide = ROOM * (stack.stop - stack.start) / len(found.names)
        if stack.name and wide > 0.6:
            name = style.shown(stack.name, max(8, int(wide / 0.08)))
            axes.annotate(
                name, ((stack.start + stack.stop) / 2 - 0.5, 0), (0, -18), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", va="top", size=style.SMALL, parse_math=False,
            )  # fmt: skip
    axes.set_xticks(list(ticks), labels=list(ticks.values()))
    axes.set_xlabel("taps in the order of execution; a number is where a layer begins", labelpad=14)


def _legends(found: Course, steps: BySteps | None) -> list[list[Line2D | Patch]]:
    """In rows: lines first."""
    lines: list[Line2D | Patch] = []
    handles: list[Line2D | Patch] = []
    what = "relative error" if len(found.names) > COLUMNS else "relative error (dots: of inputs)"
    if len(found.lines) == 1 or len(found.lines) > FEW:
        all_of_it = Line2D([], [], color=_look(0, found.lines, steps)[0], label=what)
        (lines if steps else handles).append(all_of_it)
    else:
        for index, line in enumerate(found.lines):
            colour, mark = _look(index, found.lines)
            name = f"step {line.step}" if index else f"{what}: step {line.step}"
            lines.append(Line2D([], [], color=colour, marker=mark, markersize=3, label=name))
    if steps:
        lines.append(legend_of(steps))
    if any(line.is_local.any() for line in found.lines):
        above = f"local error above {ABOVE_FLOOR:g} x floor"
        handles.append(Line2D([], [], marker="^", linestyle="", color=style.CANDIDATE, label=above))
        if len(found.lines) == 1:
            handles.append(Line2D([], [], marker=".", linestyle="", color=style.MUTED, label="local error below"))
        handles.append(Patch(color=style.AT_FLOOR, label="rounding floor"))
        handles.append(Patch(color=style.NEAR_FLOOR, label=f"up to {ABOVE_FLOOR:g} x"))
    return [row for row in (lines, handles) if row]


def _notes(report: Report, found: Course) -> list[str]:
    told = [f"{len(report.taps)} pairs of taps compared"]
    if found.num_functions:
        told.append(f"{found.num_functions} of functions, which are not judged, are not drawn")
    if found.num_untold:
        told.append(f"{found.num_untold} of which no error is known are not drawn")
    if len(found.names) > COLUMNS:
        told.append(
            f"a column is the largest of {len(found.names) / COLUMNS:.0f} taps, its band goes down to the least"
        )
    notes = ["; ".join(told)]
    if not report.replayed:
        notes.append("nothing was replayed: inherited errors are not told from those that arose at a place")
    if any(row.rel_l2_stderr is not None for row in report.taps):
        notes.append("errors are estimates, of sketches")
    if any(row.seen is Seen.STATISTICS for row in report.taps):
        notes.append("errors are the least that they can be: of some tensors statistics alone were recorded")
    return notes


def _list(report: Report) -> list[str]:
    lines = []
    for number, finding in enumerate(report.findings[:LISTED], 1):
        more = f" and {len(finding.modules) - 1} more" if len(finding.modules) > 1 else ""
        lines.append(
            f"{number}  {style.shown(finding.cause, 32)}  at {style.shown(module_name(finding.module), 56)}{more}"
        )
    left = len(report.findings) - LISTED
    return [*lines, *([f"and {left} more findings: probe diff lists them"] if left > 0 else [])]
