"""A command that is shown before it runs, and its output once it has."""

import shlex
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from probe.printable import printable
from tui.running import run_probe


class CommandScreen(ModalScreen[None]):
    """Runs on enter, one command after the other; escape stops it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "run", "Run"),
        Binding("y", "copy", "Copy"),
        Binding("escape,q", "dismiss", "Back"),
    ]

    def __init__(self, commands: tuple[str, ...], purpose: str) -> None:
        """`commands` as a shell takes them; those that do not begin with "probe" can be copied alone."""
        super().__init__()
        self.commands = commands
        self._purpose = purpose
        self.has_run = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="sheet") as sheet:
            sheet.border_title = "command"
            yield Static(Text(self._purpose), id="purpose")
            yield Static(Text("\n\n".join(map(printable, self.commands)), style="bold"), id="commands")
            yield Static("", id="outcome")
        yield Footer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        can_run = all(command.startswith("probe ") for command in self.commands)
        return not (action == "run" and (self.has_run or not can_run))

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(self.commands))
        self._say("copied")

    def action_run(self) -> None:
        self.has_run = True
        self.refresh_bindings()
        self._run()

    @work(exclusive=True)
    async def _run(self) -> None:
        told: list[str] = []
        for command in self.commands:
            outcome = await run_probe(shlex.split(command)[1:], self._wait)
            told.append(f"{outcome.output}{outcome.told}".strip())
            if outcome.code:
                told.append(f"exit code {outcome.code}")
                break
        self._say("\n".join(told))

    def _wait(self, seconds: int) -> None:
        self._say(f"running: {seconds} s ...", dim=True)

    def _say(self, told: str, *, dim: bool = False) -> None:
        lines = "\n".join(printable(line) for line in told.splitlines())
        self.query_one("#outcome", Static).update(Text("\n" + lines, style="dim" if dim else ""))
