"""Both panes and the keys that move in them: modules on the left, the tap under the cursor on the right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Static, Tabs

from probe.report import Report
from probe.tap import Tap
from tui.depth import Depth
from tui.detail import Detail
from tui.entries import of_dump, of_report, places, steps
from tui.figures import OF_PAIRS, RATIO, RMS
from tui.modules import ModuleList
from tui.reading import Files
from tui.scene import Scene
from tui.tabs import TABS
from tui.tree import Node, View, build, visible


class Browser(Horizontal):
    """A report over two dumps, or a lone dump's taps."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "divergence(1)", "Next"),
        Binding("N,p", "divergence(-1)", "Previous divergence", show=False),
        Binding("1", "first_divergence", "First divergence", show=False),
        Binding("slash", "filter", "Filter"),
        Binding("u", "hide_agreeing", "Hide what agrees"),
        Binding("h", "figure", "Figure"),
        Binding("s", "sort", "Sort by the figure", show=False),
        Binding("t", "step", "Step"),
        Binding("space", "fold", "Fold", show=False),
        Binding("left", "tap(-1)", "Previous tap of the module", show=False),
        Binding("right", "tap(1)", "Next tap of the module", show=False),
        Binding("left_square_bracket", "tab(-1)", "Previous tab", show=False),
        Binding("right_square_bracket", "tab(1)", "Tab"),
        Binding("enter", "open", "Read the tab", show=False),
        Binding("escape,backspace", "leave", "Back to the modules", show=False),
    ]
    view: reactive[View] = reactive(View(), bindings=True, init=False)

    @dataclass
    class Said(Message):
        """Something to be told in a line."""

        words: str

    def __init__(self, report: Report | None, taps: Sequence[Tap], files: Files) -> None:
        """`taps`: of a lone dump, where there is no report."""
        super().__init__(id="browser")
        self.report = report
        self._taps = list(taps)
        self._files = files
        self.steps = steps(report) if report else tuple(sorted({tap.step for tap in taps})) or (0,)
        first = report.first.step if report and report.first else None
        self.step = first if first in self.steps else self.steps[0]
        """Of a sequence that was decoded, `first` says which step, and the taps are those of all of them."""
        is_replayed = report is not None and any(row.ratio is not None for row in report.taps)
        self.figures = tuple(one for one in OF_PAIRS if is_replayed or one is not RATIO) if report else (RMS,)
        self.figure = self.figures[0]
        self._plant()
        self._looked_at: Node | None = None
        """The cursor may be further already: it says so by a message."""
        self._begins_at: str | None = None
        """A module; None: the first divergence."""
        self._tab = TABS[0].key
        self._chosen = 0
        """Of the module's taps the one that is looked at."""

    def successor(self, report: Report, files: Files) -> "Browser":
        """One of another report, that shows it as this one did."""
        found = Browser(report, (), files)
        found.set_class(self.has_class("narrow"), "narrow")
        found.set_reactive(Browser.view, self.view)
        found._begins_at = self.current.module if self.current else None
        found._tab = self.query_one(Detail).tab.key
        return found

    def compose(self) -> ComposeResult:
        with Vertical(id="left"):
            yield Static(id="legend", markup=False)
            yield Depth(id="depth")
            yield Input(placeholder="part of a module's name", id="filter")
            yield ModuleList(id="modules")
        yield Detail([tab for tab in TABS if self.report or not tab.needs_pair], self._files, id="detail")

    def on_mount(self) -> None:
        self._lay_out()
        self.query_one(ModuleList).focus()
        if self._begins_at is not None:
            self.query_one("#tabs", Tabs).active = self._tab
            self.query_one(ModuleList).go_to(self._begins_at)
        else:
            self.call_after_refresh(self.action_first_divergence)  # then it is known what the middle is

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that lead nowhere are dimmed, or not there at all."""
        if self.report is None and action in ("divergence", "first_divergence", "hide_agreeing"):
            return False
        if action in ("divergence", "first_divergence"):
            return True if self._guilty else None
        if action == "step":
            return len(self.steps) > 1
        return len(self.figures) > 1 if action == "figure" else True

    @property
    def current(self) -> Node | None:
        """The module under the cursor."""
        return self.query_one(ModuleList).current

    @property
    def scene(self) -> Scene | None:
        """What the right pane is about."""
        node = self._looked_at
        entry = node.entries[self._chosen] if node and node.entries else None
        return Scene(node, entry, self.report, self.step) if node else None

    def _plant(self) -> None:
        """The step's tree."""
        entries = of_report(self.report, self.step) if self.report else of_dump(self._taps, self.step)
        guilty = set(places(self.report)) if self.report else set()
        self.tree_root = build(entries, "the model itself", guilty)
        nodes = list(self.tree_root.walk())
        self._guilty = [node for node in nodes if node.module in guilty]
        self._ordered = [node for node in nodes if node.entries]

    def _lay_out(self) -> None:
        flat = self.view.sort is not None
        self.query_one(Depth).show(self._ordered, self.figure)
        is_whole = not (self.view.filter or self.view.hides_agreeing)
        folded = self.view.folded if is_whole else frozenset[str]()
        self.query_one(ModuleList).show(visible(self.tree_root, self.view), self.figure, folded, flat=flat)
        at = (
            f"step {self.step} ({self.steps.index(self.step) + 1} of {len(self.steps)})   "
            if len(self.steps) > 1
            else ""
        )
        order = ", largest first" if flat else ""
        legend = Text.assemble(at, (self.figure.title, "bold"), f"{order}: {self.figure.legend}")
        shown = legend if self.query_one(ModuleList).nodes else Text("nothing to show: esc clears the filter", "bold")
        self.query_one("#legend", Static).update(shown)

    def watch_view(self) -> None:
        self._lay_out()

    @on(ModuleList.Moved)
    def _moved(self, event: ModuleList.Moved) -> None:
        node = self._looked_at = event.node
        self._chosen = node.entries.index(node.shown) if node.shown else 0
        self.query_one(Depth).mark(next((i for i, one in enumerate(self._ordered) if one.order >= node.order), 0))
        self._show()

    def _show(self) -> None:
        if self.scene is not None:
            self.query_one(Detail).show(self.scene)

    def action_first_divergence(self) -> None:
        if self._guilty:
            self._go_to(self._guilty[0].module)

    def action_divergence(self, direction: int) -> None:
        at = self.current.order if self.current else 0
        beyond = [node for node in self._guilty if (node.order - at) * direction > 0]
        if beyond:
            self._go_to(beyond[0 if direction > 0 else -1].module)
        else:
            self.post_message(self.Said("that was the last one" if direction > 0 else "that was the first one"))

    def _go_to(self, module: str) -> None:
        """What hides the module is put away."""
        rows = self.query_one(ModuleList)
        if not rows.go_to(module):
            above = {module.rsplit(".", count)[0] for count in range(1, module.count(".") + 1)}
            self.query_one("#filter", Input).value = ""
            self.view = View(self.view.folded - above, sort=self.view.sort)
            rows.go_to(module)

    def action_hide_agreeing(self) -> None:
        self.view = replace(self.view, hides_agreeing=not self.view.hides_agreeing)

    def action_sort(self) -> None:
        self.view = replace(self.view, sort=None if self.view.sort else self.figure)

    def action_figure(self) -> None:
        self.figure = self.figures[(self.figures.index(self.figure) + 1) % len(self.figures)]
        self.view = replace(self.view, sort=self.figure if self.view.sort else None)
        self._lay_out()

    def action_step(self) -> None:
        self.step = self.steps[(self.steps.index(self.step) + 1) % len(self.steps)]
        self._plant()
        self._lay_out()
        self._show()

    def action_fold(self) -> None:
        if self.current is not None and self.current.children and self.current.parent:
            self.view = replace(self.view, folded=self.view.folded ^ {self.current.module})

    def action_tap(self, by: int) -> None:
        if self._looked_at is not None and self._looked_at.entries:
            self._chosen = (self._chosen + by) % len(self._looked_at.entries)
            self._show()

    def action_tab(self, by: int) -> None:
        self.query_one(Detail).turn(by)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("open")
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.view = replace(self.view, filter=event.value)

    @on(Input.Submitted, "#filter")
    def _taken(self) -> None:
        self.query_one(ModuleList).focus()

    @on(ModuleList.Opened)
    def action_open(self) -> None:
        self.add_class("reading")
        self.query_one("#content-scroll").focus()

    def action_leave(self) -> None:
        field = self.query_one("#filter", Input)
        if field.has_class("open"):
            field.value = ""
            field.remove_class("open")
        self.remove_class("reading")
        self.query_one(ModuleList).focus()
