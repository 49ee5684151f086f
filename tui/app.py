"""The app: the answer at the top, both panes, and what lies over them for a while."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, HelpPanel, Static

from probe.errors import ProbeError
from probe.printable import printable
from probe.report import Report
from probe.saved_report import report_of
from probe.tap import Tap
from tui.browser import Browser
from tui.head import headline, subject
from tui.reading import Files
from tui.running import Outcome, run_probe
from tui.screens.command import CommandScreen
from tui.screens.export import ExportScreen
from tui.screens.weights import WeightsScreen

Answer = TypeVar("Answer")
NARROW = 80
"""Columns, from which down one pane is shown at a time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is browsed."""

    reference: Path
    candidate: Path | None = None
    """None: `reference` is a lone dump."""
    table: Path | None = None
    flags: tuple[str, ...] = ()
    """Of `probe diff`, for the two to be compared again."""


class ProbeApp(App[None]):
    """Browses a report over two dumps, or a lone dump's taps."""

    CSS_PATH = "style.tcss"
    TITLE = "probe"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "weights", "Weights"),
        Binding("m", "row", "Edit the mapping's row", show=False),
        Binding("r", "record", "Record in full", show=False),
        Binding("y", "copy", "Copy the tap's name", show=False),
        Binding("e", "export", "Export", show=False),
        Binding("question_mark", "keys", "Keys"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, subject: Subject, report: Report | None, taps: Sequence[Tap] = ()) -> None:
        """`taps`: of a lone dump, where there is no report."""
        super().__init__()
        self.subject = subject
        self.report = report
        """The latest: a mapping's row may have been changed."""
        self._taps = taps
        self.files = Files(subject.reference, subject.candidate, subject.table)

    def compose(self) -> ComposeResult:
        head = Static(headline(self.report) if self.report else "", id="head", markup=False)
        head.display = self.report is not None
        yield head
        candidate = str(self.subject.candidate) if self.subject.candidate else None
        yield Static(subject(str(self.subject.reference), candidate), id="files", markup=False)
        yield Browser(self.report, self._taps, self.files)
        yield Static(id="status", classes="empty", markup=False)
        yield Footer(show_command_palette=False)

    def on_unmount(self) -> None:
        self.files.close()

    def on_resize(self, event: Resize) -> None:
        self.screen_stack[0].query_one(Browser).set_class(event.size.width <= NARROW, "narrow")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that lead nowhere are not there."""
        if action in ("weights", "row") and self.report is None:
            return False
        is_comparing = any(worker.group == "compare" and worker.is_running for worker in self.workers)
        return None if action in ("row", "record") and is_comparing else True

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette has every key that does something here."""
        yield from super().get_system_commands(screen)
        for namespace, binding, enabled, _ in screen.active_bindings.values():
            if enabled and isinstance(namespace, (ProbeApp, Browser)):
                does = partial(self.run_action, binding.action, namespace)
                yield SystemCommand(binding.description, f"key {binding.key_display or binding.key}", does)

    @on(Browser.Said)
    def _said(self, event: Browser.Said) -> None:
        self.say(event.words)

    def say(self, words: str) -> None:
        """In a line of its own at the bottom, until the next one."""
        status = self.screen_stack[0].query_one("#status", Static)
        status.update(Text(printable(words)))
        status.set_class(not words, "empty")

    def action_keys(self) -> None:
        self.action_hide_help_panel() if self.screen.query(HelpPanel) else self.action_show_help_panel()

    def action_weights(self) -> None:
        assert self.report is not None
        self.push_screen(WeightsScreen(self.report.weights))

    def action_copy(self) -> None:
        scene = self.screen_stack[0].query_one(Browser).scene
        if scene is not None:
            name = scene.entry.tap if scene.entry else scene.node.module
            self.copy_to_clipboard(name)
            self.say(f"copied: {name}")

    def action_export(self) -> None:
        self.push_screen(ExportScreen(self.export_screenshot(), self.report), lambda told: self.say(told or ""))

    @work(exclusive=True, group="ask")
    async def action_record(self) -> None:
        from probe.compare.less import commands_in_full  # not needed for the first screen

        module = scene.node.module if (scene := self.screen_stack[0].query_one(Browser).scene) else ""
        commands = await self._asked(
            lambda files: commands_in_full(files.opened().dumps, files.opened().partners(module))
        )
        if commands:
            self.push_screen(CommandScreen(commands, f"records {module or 'the whole model'} with all values"))

    @work(exclusive=True, group="ask")
    async def action_row(self) -> None:
        from tui.screens.row import RowScreen, row_of  # not needed for the first screen

        scene = self.screen_stack[0].query_one(Browser).scene
        if scene is None or scene.entry is None:
            self.say("no tensor was recorded here: go to a module inside")
            return
        step, tap = scene.step, scene.entry.tap
        row = await self._asked(lambda files: row_of(files, step, tap))
        given = self.subject.table  # perhaps a shipped one's name
        table = given if given and given.exists() else self.subject.reference.with_name("map.toml")
        if row is not None:
            saved = await self.push_screen_wait(RowScreen(row[0], self.files, table, row[1]))
            if saved is not None:
                self._compare_again(saved)

    async def _asked(self, question: Callable[[Files], Answer]) -> Answer | None:
        """What the files answer; None, and words at the bottom, where they cannot."""
        try:
            return await asyncio.wrap_future(self.files.ask(question))
        except ProbeError as error:
            self.say(f"{error}" + (f"  ({error.hint})" if error.hint else ""))
            return None

    @work(exclusive=True, group="compare")
    async def _compare_again(self, table: Path) -> None:
        both = str(self.subject.reference), str(self.subject.candidate)
        words = ["diff", *both, *self.subject.flags, "--map", str(table), "--json", "-q"]
        outcome = await run_probe(words, lambda seconds: self.say(f"comparing again with {table}: {seconds} s ..."))
        report = _report_of(outcome)
        if report is None:
            self.say(outcome.told.strip().replace("\n", "  "))
            return
        self.report = report
        self.subject = replace(self.subject, table=table)
        self.files.close()
        self.files = Files(self.subject.reference, self.subject.candidate, table)
        before = self.screen_stack[0].query_one(Browser)
        after = before.successor(report, self.files)
        await before.remove()
        await self.screen_stack[0].mount(after, after="#files")
        self.screen_stack[0].query_one("#head", Static).update(headline(report))
        self.say(f"compared again with {table}")


def _report_of(outcome: Outcome) -> Report | None:
    """None where there is none; a comparison that stayed undecided (exit code 2) has one too."""
    try:
        return report_of(json.loads(outcome.output))
    except (ValueError, KeyError, TypeError):
        return None
