"""Findings above a picture: a flag with number and cause each, none upon another."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from probe.render.plots import style
from probe.report import Finding, Report

ROWS = 6
"""Of flags, one above the other. Where they need more, fewer are named, and the others are marks."""
ROW = 0.18
"""Inches."""
INSET = 0.05
"""Inches between a flag's edge and its text."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A finding at one of its places."""

    text: str
    """Its number, and at its first place its cause too, if there is room."""
    at: int
    """Place of its pole."""
    left: float
    """Of the flag, in inches from the left of the picture."""
    row: int
    is_honest: bool


@dataclass(frozen=True, slots=True)
class Flags:
    flags: tuple[Flag, ...]
    marks: tuple[int, ...]
    """Places of findings that have a flag elsewhere."""
    is_named: bool
    """Causes stand beside the numbers."""

    @property
    def num_rows(self) -> int:
        return 1 + max((flag.row for flag in self.flags), default=-1)


def flags(report: Report, places: list[list[int]], num_places: int, room: float) -> Flags:
    """`places` of each finding, the first of them first. `room`: width of the picture in inches."""
    for is_named, is_everywhere in ((True, True), (True, False), (False, True), (False, False)):
        wanted, marks = [], []
        for number, (finding, at) in enumerate(zip(report.findings, places, strict=True), 1):
            name = f"{number} {style.shown(finding.cause, 32)}" if is_named else str(number)
            wanted += [
                (one, str(number) if further else name, finding)
                for further, one in enumerate(at)
                if is_everywhere or not further
            ]
            marks += [] if is_everywhere else at[1:]
        placed = _flying(wanted, num_places, room) if is_named else _standing(wanted, num_places, room)
        low = tuple(flag for flag in placed if flag.row < ROWS)
        if len(low) == len(placed):
            break
    crowded = [flag.at for flag in placed if flag.row >= ROWS]
    return Flags(low, (*marks, *crowded), is_named)


def _standing(wanted: list[tuple[int, str, Finding]], num_places: int, room: float) -> tuple[Flag, ...]:
    """From the left to the right: each on its pole, in the lowest row where it covers no other."""
    found: list[Flag] = []
    ends: list[float] = []
    for at, text, finding in sorted(wanted, key=lambda one: one[0]):
        wide = style.width_of(text, bold=True) + 2 * INSET
        left = min(max((at + 0.5) / num_places * room - wide / 2, 0.0), room - wide)
        row = next((row for row, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [left + wide]
        found.append(Flag(text, at, left, row, finding.is_honest))
    return tuple(found)


def _flying(wanted: list[tuple[int, str, Finding]], num_places: int, room: float) -> tuple[Flag, ...]:
    """From the right to the left: a flag flies to the right of its pole, above all that it would cover."""
    found: list[Flag] = []
    taken: list[tuple[float, float, int]] = []
    for at, text, finding in sorted(wanted, key=lambda one: -one[0]):
        wide = style.width_of(text, bold=True) + 2 * INSET
        left = min((at + 0.5) / num_places * room, room - wide)
        row = 1 + max((row for start, stop, row in taken if start < left + wide and left < stop), default=-1)
        taken.append((left, left + wide, row))
        found.append(Flag(text, at, left, row, finding.is_honest))
    return tuple(reversed(found))


def draw_flags(figure: Figure, axes: Axes, found: Flags) -> None:
    """Above the axes, each on a pole that goes down through them; marks are strokes at their top."""
    box = axes.get_position()
    width, height = figure.get_size_inches()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    axes.plot(found.marks, [high] * len(found.marks), "|", color=style.INK, markersize=10, zorder=1.5, clip_on=False)
    for flag in found.flags:
        colour = style.MUTED if flag.is_honest else style.INK
        bottom = box.y1 + (0.06 + ROW * flag.row) / height
        across = box.x0 + (flag.at - left) / (right - left) * box.width
        axes.plot([flag.at] * 2, [low, high], color=colour, linewidth=0.8, linestyle="--", zorder=1.5)
        pole = Line2D([across] * 2, [box.y1, bottom + 0.14 / height], color=colour, linewidth=0.8, zorder=5)
        pole.set_transform(figure.transFigure)
        figure.add_artist(pole)
        figure.text(
            box.x0 + (flag.left + INSET) / width, bottom, flag.text, size=style.SMALL, color=style.PAPER, weight="bold",
            va="bottom", parse_math=False, zorder=6,
            bbox={"facecolor": colour, "edgecolor": style.PAPER, "linewidth": 0.6, "pad": 1.5},
        )  # fmt: skip
