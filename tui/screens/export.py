"""What is shown, as a file: a picture of the screen, or the report."""

import json
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from probe.printable import printable
from probe.report import Report


class ExportScreen(ModalScreen[str | None]):
    """Gives what was done, in words. The ending of the name says what is written."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Back", priority=True)]

    def __init__(self, picture: str, report: Report | None) -> None:
        """`picture`: SVG of the screen as it was."""
        super().__init__()
        self._picture = picture
        self._report = report

    def compose(self) -> ComposeResult:
        kinds = "FILE.svg: a picture of the screen" + ("; FILE.json: the report" if self._report else "")
        with Vertical(classes="sheet") as sheet:
            sheet.border_title = "export"
            yield Static(Text(kinds))
            yield Input("probe.svg", id="path")
            yield Static("", id="refused", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _write(self, event: Input.Submitted) -> None:
        try:
            path = Path(event.value).expanduser()
        except RuntimeError:
            self._refuse(f"there is no such home folder: {event.value}")
            return
        if path.suffix == ".svg":
            text = self._picture
        elif path.suffix == ".json" and self._report is not None:
            text = json.dumps(self._report.to_dict(), indent=1)
        else:
            self._refuse("the name must end in .svg" + (" or .json" if self._report else ""))
            return
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            self._refuse(f"{path} exists already: give another name")
        except OSError as error:
            self._refuse(f"cannot write {path}: {error.strerror}")
        else:
            self.dismiss(f"{path} written")

    def _refuse(self, why: str) -> None:
        self.query_one("#refused", Static).update(Text(printable(why), style="yellow"))
