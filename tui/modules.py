"""The list of modules: a mark, the name in its tree, and a number on its colour. Only lines on the screen are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from probe.printable import printable
from tui import heat
from tui.figures import Figure
from tui.tree import Mark, Node

CELL = 11
"""Columns of a number on its colour."""
PLAIN = Style()
MARKS = {
    None: PLAIN,
    Mark.EQUAL: Style(dim=True),
    Mark.NEAR: PLAIN,
    Mark.UNPAIRED: Style(dim=True),
    Mark.OWN: Style(bold=True, color="bright_red"),
    Mark.NONFINITE: Style(bold=True, color="bright_red"),
}


class ModuleList(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows of nodes with a cursor. It knows nothing of what they mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000000)", "Top", show=False),
        Binding("end,G", "move(1000000000)", "Bottom", show=False),
    ]
    cursor: reactive[int] = reactive(0)

    @dataclass
    class Moved(Message):
        """The cursor is on another node."""

        node: Node

    @dataclass
    class Opened(Message):
        """The node was clicked a second time."""

        node: Node

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.nodes: Sequence[Node] = ()
        self._figure: Figure | None = None
        self._folded: frozenset[str] = frozenset()
        self._flat = False
        self._last: Node | None = None
        """Where the cursor was before there were no rows."""

    def show(self, nodes: Sequence[Node], figure: Figure, folded: frozenset[str], *, flat: bool) -> None:
        """`flat`: whole names instead of a tree. The cursor stays on its node where that is still there."""
        before = self.current or self._last
        self._last = before
        self.nodes, self._figure, self._folded, self._flat = nodes, figure, folded, flat
        self.virtual_size = Size(0, len(nodes))
        at = next((index for index, node in enumerate(nodes) if before and node.module == before.module), None)
        if at is None and before is not None:  # what holds it, if that is there
            at = next((i for i, node in enumerate(nodes) if before.module.startswith(node.module + ".")), 0)
        self.set_reactive(ModuleList.cursor, min(at or 0, max(len(nodes) - 1, 0)))
        self._see_cursor()
        self.refresh()
        if self.current is not None and (before is None or self.current is not before):
            self.post_message(self.Moved(self.current))

    @property
    def current(self) -> Node | None:
        return self.nodes[self.cursor] if self.cursor < len(self.nodes) else None

    def go_to(self, module: str) -> bool:
        """Whether it is among the rows."""
        at = next((index for index, node in enumerate(self.nodes) if node.module == module), None)
        if at is not None:
            self.cursor = at
            self._see_cursor(centre=True)
        return at is not None

    def validate_cursor(self, cursor: int) -> int:
        return min(max(cursor, 0), max(len(self.nodes) - 1, 0))

    def watch_cursor(self, before: int, now: int) -> None:
        self._see_cursor()
        for line in (before, now):
            self.refresh(Region(0, line - self.scroll_offset.y, self.size.width, 1))
        if self.current is not None:
            self.post_message(self.Moved(self.current))

    def _see_cursor(self, *, centre: bool = False) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True, center=centre)

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_page(self, direction: int) -> None:
        self.cursor += direction * max(self.scrollable_content_region.height - 1, 1)

    def on_click(self, event: events.Click) -> None:
        line = event.y + self.scroll_offset.y
        if line < len(self.nodes):
            if line == self.cursor:
                self.post_message(self.Opened(self.nodes[line]))
            self.cursor = line

    def render_line(self, y: int) -> Strip:
        line = y + self.scroll_offset.y
        width = self.size.width
        if line >= len(self.nodes) or self._figure is None:
            return Strip.blank(width, self.rich_style)
        node = self.nodes[line]
        is_here = line == self.cursor
        folded = node.module in self._folded and bool(node.children) and not self._flat
        mark = node.beneath if folded else node.mark
        name = (printable(node.module) or node.label) if self._flat else "  " * node.depth + printable(node.label)
        name += f" +{sum(1 for _ in node.walk()) - 1}" if folded else ""
        room = max(width - CELL - 4, 4)
        name = name if len(name) <= room else "\N{HORIZONTAL ELLIPSIS}" + name[-(room - 1) :]
        base = self.rich_style + (Style(reverse=True) if is_here else PLAIN)
        sign = Segment(f"{'>' if is_here else ' '}{mark or ' '} ", base + MARKS[mark])
        return Strip([sign, Segment(name.ljust(room + 1), base), self._cell(node, folded)]).adjust_cell_length(width)

    def _cell(self, node: Node, folded: bool) -> Segment:
        assert self._figure is not None
        values = [one.value(self._figure) for one in (node.walk() if folded else (node,))]
        known = [value for value in values if value is not None]
        if not known:
            return Segment(" " * CELL, self.rich_style)
        value = next((one for one in known if one != one), max(known))
        return Segment(f"{self._figure.text(value):>{CELL - 1}} ", heat.style(self._figure.heat(value)))
