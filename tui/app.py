"""The app: the answer at the top, modules on the left, the tap under the cursor on the right."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.reactive import reactive
from textual.widgets import Footer, Input, Static

from probe.report import Report
from probe.tap import Tap
from tui.depth import Depth
from tui.detail import Detail
from tui.entries import of_dump, of_report, places, steps
from tui.figures import OF_PAIRS, RMS
from tui.head import headline, subject
from tui.modules import ModuleList
from tui.reading import Files
from tui.scene import Scene
from tui.tabs import TABS
from tui.tree import Node, View, build, visible

NARROW = 80
"""Columns, from which down one pane is shown at a time."""


class ProbeApp(App[None]):
    """Browses a report over two dumps, or a lone dump's taps."""

    CSS_PATH = "style.tcss"
    TITLE = "probe"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "divergence(1)", "Next"),
        Binding("N,p", "divergence(-1)", "Previous", show=False),
        Binding("1", "first_divergence", "First", show=False),
        Binding("slash", "filter", "Filter"),
        Binding("u", "hide_agreeing", "Hide agreeing"),
        Binding("h", "figure", "Figure"),
        Binding("s", "sort", "Sort"),
        Binding("t", "step", "Step"),
        Binding("space", "fold", "Fold", show=False),
        Binding("left", "tap(-1)", "Previous tap", show=False),
        Binding("right", "tap(1)", "Next tap", show=False),
        Binding("left_square_bracket", "tab(-1)", "Previous tab", show=False),
        Binding("right_square_bracket", "tab(1)", "Tabs"),
        Binding("enter", "open", "Open", show=False),
        Binding("escape,backspace", "leave", "Back", show=False),
        Binding("question_mark", "keys", "Keys"),
        Binding("q", "quit", "Quit"),
    ]
    view: reactive[View] = reactive(View(), bindings=True)

    def __init__(self, report: Report | None, taps: Sequence[Tap], files: Files, names: tuple[str, str | None]) -> None:
        """`taps`: of a lone dump, where there is no report. `names`: of the files, as they are shown."""
        super().__init__()
        self.report = report
        self._taps = list(taps)
        self.files = files
        self._names = names
        self.steps = steps(report) if report else tuple(sorted({tap.step for tap in taps})) or (0,)
        self.step = self._first_step()
        self.figures = OF_PAIRS if report else (RMS,)
        self.figure = next((one for one in self.figures if self._is_known(one)), self.figures[-1])
        self._entry = 0
        self.root = self._tree()

    def compose(self) -> ComposeResult:
        yield Static(headline(self.report) if self.report else "", id="head", markup=False)
        yield Static(subject(*self._names), id="files", markup=False)
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Static(id="legend", markup=False)
                yield Depth(id="depth")
                yield Input(placeholder="part of a module's name", id="filter")
                yield ModuleList(id="modules")
            yield Detail([tab for tab in TABS if self.report or not tab.needs_pair], self.files, id="detail")
        yield Static(id="status", classes="empty", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#head").display = self.report is not None
        self._lay_out()
        self.query_one(ModuleList).focus()
        if self.report:
            self.action_first_divergence()

    def on_unmount(self) -> None:
        self.files.close()

    def on_resize(self, event: Resize) -> None:
        self.screen.set_class(event.size.width <= NARROW, "narrow")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that lead nowhere are dimmed, or not there at all."""
        if action in ("divergence", "first_divergence", "hide_agreeing") and self.report is None:
            return False
        if action in ("divergence", "first_divergence") and not self._places():
            return None
        if action == "step" and len(self.steps) < 2:
            return False
        return not (action == "figure" and len(self.figures) < 2)

    # what is shown

    def _tree(self) -> Node:
        entries = of_report(self.report, self.step) if self.report else of_dump(self._taps, self.step)
        return build(entries, "the model itself", places(self.report) if self.report else ())

    def _first_step(self) -> int:
        return self.report.first.step if self.report and self.report.first else self.steps[0]

    def _is_known(self, figure: object) -> bool:
        return any(row.ratio is not None for row in self.report.taps) if self.report and figure is OF_PAIRS[0] else True

    def _lay_out(self) -> None:
        flat = self.view.sort is not None
        ordered = [node for node in self.root.walk() if node.entries]
        self.query_one(ModuleList).show(visible(self.root, self.view), self.figure, self.view.folded, flat=flat)
        self.query_one(Depth).show(ordered, self.figure)
        step = f"   step {self.step} of {len(self.steps)}" if len(self.steps) > 1 else ""
        order = f"   sorted by {self.view.sort.title}" if self.view.sort else ""
        legend = Text.assemble((self.figure.title, "bold"), f": {self.figure.legend}{order}{step}", overflow="ellipsis")
        self.query_one("#legend", Static).update(legend)

    def watch_view(self) -> None:
        if self.is_running:
            self._lay_out()

    @on(ModuleList.Moved)
    def _moved(self, event: ModuleList.Moved) -> None:
        node = event.node
        self._entry = node.entries.index(node.shown) if node.shown else 0
        ordered = [one for one in self.root.walk() if one.entries]
        self.query_one(Depth).mark(next((i for i, one in enumerate(ordered) if one.order >= node.order), 0))
        self._show(node)

    def _show(self, node: Node) -> None:
        entry = node.entries[self._entry] if node.entries else None
        self.query_one(Detail).show(Scene(node, entry, self.report, self.step))

    # keys

    def _places(self) -> list[str]:
        """Modules at fault, in the order of the tree."""
        guilty = set(places(self.report)) if self.report else set()
        return [node.module for node in self.root.walk() if node.module in guilty]

    def action_first_divergence(self) -> None:
        if found := self._places():
            self._go_to(found[0])

    def action_divergence(self, direction: int) -> None:
        found = self._places()
        current = self.query_one(ModuleList).current
        order = {node.module: node.order for node in self.root.walk()}
        at = current.order if current else 0
        beyond = [module for module in found if (order[module] - at) * direction > 0]
        if beyond:
            self._go_to(beyond[0 if direction > 0 else -1])
        else:
            self.say("that was the last one" if direction > 0 else "that was the first one")

    def _go_to(self, module: str) -> None:
        """What hides the module is put away."""
        rows = self.query_one(ModuleList)
        if rows.go_to(module):
            return
        above = {module.rsplit(".", count)[0] for count in range(1, module.count(".") + 1)}
        self.view = View(self.view.folded - above, "", False, self.view.sort)
        rows.go_to(module)

    def action_hide_agreeing(self) -> None:
        self.view = View(self.view.folded, self.view.filter, not self.view.hides_agreeing, self.view.sort)

    def action_sort(self) -> None:
        self.view = View(
            self.view.folded, self.view.filter, self.view.hides_agreeing, None if self.view.sort else self.figure
        )

    def action_figure(self) -> None:
        self.figure = self.figures[(self.figures.index(self.figure) + 1) % len(self.figures)]
        sort = self.figure if self.view.sort else None
        self.view = View(self.view.folded, self.view.filter, self.view.hides_agreeing, sort)
        self._lay_out()

    def action_step(self) -> None:
        self.step = self.steps[(self.steps.index(self.step) + 1) % len(self.steps)]
        self.root = self._tree()
        self._lay_out()

    def action_fold(self) -> None:
        node = self.query_one(ModuleList).current
        if node is not None and node.children and node.parent:
            self.view = View(
                self.view.folded ^ {node.module}, self.view.filter, self.view.hides_agreeing, self.view.sort
            )

    def action_tap(self, by: int) -> None:
        node = self.query_one(ModuleList).current
        if node is not None and node.entries:
            self._entry = (self._entry + by) % len(node.entries)
            self._show(node)

    def action_tab(self, by: int) -> None:
        self.query_one(Detail).turn(by)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("open")
        field.focus()

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self.view = View(self.view.folded, event.value, self.view.hides_agreeing, self.view.sort)

    @on(Input.Submitted, "#filter")
    def _taken(self) -> None:
        self.query_one(ModuleList).focus()

    def action_open(self) -> None:
        self.screen.add_class("reading")
        if not self.screen.has_class("narrow"):
            self.query_one("#content-scroll").focus()

    @on(ModuleList.Opened)
    def _opened(self) -> None:
        self.action_open()

    def action_leave(self) -> None:
        field = self.query_one("#filter", Input)
        if field.has_class("open"):
            field.value = ""
            field.remove_class("open")
        self.screen.remove_class("reading")
        self.query_one(ModuleList).focus()

    def action_keys(self) -> None:
        shown = self.screen.query("HelpPanel")
        self.action_hide_help_panel() if shown else self.action_show_help_panel()

    def say(self, message: str) -> None:
        """In a line of its own at the bottom, until the next one."""
        status = self.query_one("#status", Static)
        status.update(message)
        status.set_class(not message, "empty")


def run(
    report: Report | None, taps: Sequence[Tap], reference: Path, candidate: Path | None, table: Path | None
) -> None:
    """Take the terminal until the user leaves."""
    files = Files(reference, candidate, table)
    ProbeApp(report, taps, files, (str(reference), str(candidate) if candidate else None)).run()
