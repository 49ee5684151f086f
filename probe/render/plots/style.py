"""How every picture looks, in one place: size, fonts, colours, and how text of anybody's is written into it.

Nothing of pyplot is used, and nothing of the user's matplotlibrc: a picture is the same wherever it is made. Eight
inches wide, so that 8 points are legible on a page. Lines have colours of Okabe and Ito, of which no red stands against
a green; marks differ in shape too. Maps are viridis, brighter where there is more, and PuOr where a sign counts.
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib import ft2font, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.textpath import text_to_path

from probe.printable import printable
from probe.report import Report
from probe.words import verdict_in_words

FONT = "DejaVu Sans"
"""Comes with matplotlib."""
WIDTH = 8.0
"""Inches, of every picture."""
SMALL, PLAIN, LARGE = 8, 9, 11
"""Points of type. Nothing is smaller."""
INK, MUTED, FAINT, PAPER = "#1b1b1b", "#5c5c5c", "#d4d4d4", "#ffffff"
NEAR_FLOOR, AT_FLOOR = "#ebebeb", "#d4d4d4"
"""Bands: up to four times the floor, and up to the floor."""
REFERENCE, CANDIDATE, DIFFERENCE = "#0072B2", "#D55E00", "#CC79A7"
CYCLE = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#D55E00")
"""Several lines of one kind."""
SEQUENCE, SIGNED = "viridis", "PuOr"
"""Colour maps of sizes and of differences."""
UNKNOWN = "#E69F00"
"""In a map what is NaN or infinite on one side: a colour that viridis has not."""
ABSENT = "#b9b9b9"
"""In a map what is not there: padding, or a tap without tokens."""
LINE = 0.157
"""Inches of a line of a caption."""
LONGEST = 64
"""Letters of a name that are shown."""

RC = {
    "font.family": FONT,
    "font.size": PLAIN,
    "axes.titlesize": PLAIN,
    "axes.labelsize": PLAIN,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.usetex": False,
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "image.interpolation": "nearest",
    "image.aspect": "auto",
    "svg.fonttype": "path",
    "svg.hashsalt": "probe",
    "pdf.fonttype": 42,
}
Drawing = ParamSpec("Drawing")


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself, whether or not pyplot was ever imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        from io import BytesIO

        drawn = BytesIO()
        save(self, drawn, "png")
        width, height = self.get_size_inches()
        return drawn.getvalue(), {"width": round(96 * width), "height": round(96 * height)}


def styled(draw: Callable[Drawing, Figure]) -> Callable[Drawing, Figure]:
    """`draw` in this style, whatever the user's is; ticks too, which matplotlib makes once they are asked for."""

    @wraps(draw)
    def drawn(*args: Drawing.args, **kwargs: Drawing.kwargs) -> Figure:
        with style.context(["default", RC]):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:
                for axis in (axes.xaxis, axes.yaxis):
                    axis.get_ticklabels(which="both")
            return figure

    return drawn


def figure(height: float) -> Figure:
    """An empty one, `height` inches high."""
    return Picture(figsize=(WIDTH, height))


def save(figure: Figure, file: Any, kind: str) -> None:
    """`file`: a path or what bytes are written into; `kind`: png, svg or pdf. The same figure gives the same bytes."""
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
    with style.context(["default", RC]):
        figure.savefig(file, format=kind, dpi=160, metadata=metadata)


def heading(figure: Figure, title: str, below: str = "") -> None:
    """What the picture says, at its top left, and what it is about below, smaller."""
    _, height = figure.get_size_inches()
    at = 0.12 / WIDTH
    figure.text(at, 1 - 0.10 / height, title, size=LARGE, weight="bold", va="top")
    if below:
        figure.text(at, 1 - 0.33 / height, below, size=SMALL, color=MUTED, va="top")


def headline(report: Report) -> str:
    """The verdict, in a line that a picture has room for."""
    first = report.first
    told = f"first at {shown(first.module, 52) or 'the model itself'}" if first else verdict_in_words(report)
    return f"{report.verdict.upper()}  {shown(told, 84)}"


def about(reference: Path | str, candidate: Path | str) -> str:
    """Which two runs."""
    names = (shown(str(one).rpartition("/")[2], 40) for one in (reference, candidate))
    return "reference {}, candidate {}".format(*names)


def caption(figure: Figure, text: str) -> None:
    """At the bottom: what is not drawn, and how to read it."""
    _, height = figure.get_size_inches()
    figure.text(0.12 / WIDTH, 0.08 / height, text, size=SMALL, color=MUTED, va="bottom", linespacing=1.4)


def legend(figure: Figure, handles: Sequence[Any], bottom: float) -> None:
    """A row of them, so many inches above the figure's lower edge."""
    place = 0.12 / WIDTH, bottom / figure.get_figheight()
    names = [str(handle.get_label()) for handle in handles]
    figure.add_artist(
        Legend(
            figure, list(handles), names, loc="lower left", ncols=len(handles), columnspacing=1.3, handletextpad=0.5,
            borderpad=0, borderaxespad=0, bbox_to_anchor=place, bbox_transform=figure.transFigure,
        )
    )  # fmt: skip


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def tick_names(axes: Axes, places: list[float], names: list[str], *, side: str = "y") -> None:
    """Names of anybody's at ticks: never read as mathematics."""
    axis = axes.yaxis if side == "y" else axes.xaxis
    axis.set_ticks(places, labels=names)
    for label in axis.get_ticklabels():
        label.set_parse_math(False)


def row_name(axes: Axes, row: float, name: str, below: str) -> None:
    """Left of a row: what it is, and smaller below where."""
    lines = ((name, 5.5 if below else 0, "bold", INK), (below, -5.5, "normal", MUTED))
    for text, up, weight, colour in lines:
        axes.annotate(
            text, (0, row), (-6, up), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
            va="center", size=SMALL, weight=weight, color=colour, parse_math=False, annotation_clip=False,
        )  # fmt: skip


def shown(text: str, most: int = LONGEST) -> str:
    """On one line, of letters that the font has; what is longer loses its middle."""
    plain = "".join(c if ord(c) in _letters() else c.encode("unicode_escape").decode() for c in printable(text))
    if len(plain) <= most:
        return plain
    head = (most - 3) // 3
    return f"{plain[:head]}...{plain[len(plain) - (most - 3 - head) :]}"


def power(exponent: float) -> str:
    """1e-07 as 1e-7: a tick."""
    return f"1e{round(exponent)}" if exponent else "1"


@cache
def _letters() -> frozenset[int]:
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return frozenset(ft2font.FT2Font(str(file)).get_charmap())


def width_of(text: str, *, bold: bool = False) -> float:
    """Inches that a small text takes."""
    font = FontProperties(family=FONT, size=SMALL, weight="bold" if bold else "normal")
    points: float = text_to_path.get_text_width_height_descent(text, font, False)[0]
    return points / 72
