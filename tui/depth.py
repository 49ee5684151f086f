"""Error over depth in one line: a column for each stretch of the run, the cursor's column marked."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui import heat
from tui.figures import Figure
from tui.tree import Node

BARS = " \N{LOWER ONE EIGHTH BLOCK}\N{LOWER ONE QUARTER BLOCK}\N{LOWER THREE EIGHTHS BLOCK}\N{LOWER HALF BLOCK}\
\N{LOWER FIVE EIGHTHS BLOCK}\N{LOWER THREE QUARTERS BLOCK}\N{LOWER SEVEN EIGHTHS BLOCK}\N{FULL BLOCK}"


def columns(nodes: Sequence[Node], figure: Figure, width: int) -> list[float | None]:
    """For each column the largest heat of its nodes; None where none of them has a number."""
    found: list[float | None] = [None] * min(width, len(nodes))
    for index, node in enumerate(nodes):
        value = node.value(figure)
        if value is not None:
            at = index * len(found) // len(nodes)
            found[at] = max(found[at] or 0.0, figure.heat(value))
    return found


class Depth(Widget):
    """A bar a column, in the colours of the cells."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._modules: Sequence[Node] = ()
        self._figure: Figure | None = None
        self._at = 0
        self._columns: dict[int, list[float | None]] = {}
        """By width: the same until others are shown."""

    def show(self, nodes: Sequence[Node], figure: Figure) -> None:
        """`nodes` in the order of execution."""
        self._modules, self._figure = nodes, figure
        self._columns.clear()
        self.refresh()

    def mark(self, order: int) -> None:
        """The cursor is on the node of this place in the order."""
        self._at = order
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if self._figure is None or not self._modules or y > 1:
            return Strip.blank(width, self.rich_style)
        if width not in self._columns:
            self._columns[width] = columns(self._modules, self._figure, width)
        found = self._columns[width]
        here = min(self._at, len(self._modules) - 1) * len(found) // len(self._modules)
        if y == 1:
            return Strip([Segment(" " * here + "^" + " " * (width - here - 1), self.rich_style)])
        segments = []
        for value in found:
            level = 0 if value is None else 1 + round(value * (len(BARS) - 2))
            ink = Style(color=heat.colour(max(value or 0.0, 0.35)))
            segments.append(Segment(BARS[level], self.rich_style + ink))
        return Strip(segments).adjust_cell_length(width, self.rich_style)
