"""The mapping's row of a tap: changed by hand, tried on the data at every change, and saved into the table."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Static, TextArea

from probe.align.mapping import Pair, candidate_values
from probe.align.table.apply import pairs_of_table
from probe.align.table.one_row import row_text, with_row
from probe.align.table.read import parse_table, read_text
from probe.align.table.save import save
from probe.align.table.shipped import shipped_table
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.errors import NotKept, ProbeError
from probe.metrics import compare
from probe.printable import printable
from probe.words import number
from tui.reading import Files

PAUSE = 0.2
"""Seconds without a key before a row is tried."""
SHOWN = 6
"""Pairs of a row that are tried: a template may stand for hundreds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a row would do."""

    lines: tuple[str, ...]
    fits: bool


class RowScreen(ModalScreen[Path | None]):
    """Gives the table's path where it was saved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save and compare again", priority=True),
        Binding("escape", "dismiss", "Back", priority=True),
    ]

    def __init__(self, row: str, files: Files, table: Path, base: str) -> None:
        """`row`: its TOML. `table`: where it is saved; where that is not there yet, it begins as the text `base`."""
        super().__init__()
        self._base = base
        self._row = row
        self._files = files
        self._table = table
        self._fitting: str | None = None
        """The text that was tried last, where it fits: nothing else is saved."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="sheet") as sheet:
            others = ", whose other rows count too" if self._table.exists() else ""
            sheet.border_title = f"row of {printable(str(self._table))}{others}"
            yield TextArea(self._row, id="row", soft_wrap=True)
            yield Static("", id="trial", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()
        self._try(self._row)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "save" and self._fitting is None else True

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        self._try(event.text_area.text)

    @work(exclusive=True, description="a row")
    async def _try(self, text: str) -> None:
        self._fitting = None
        self.refresh_bindings()
        await asyncio.sleep(PAUSE)
        trial = await asyncio.wrap_future(self._files.ask(lambda files: tried(text, self._table, self._base, files)))
        self._fitting = text if trial.fits else None
        style = "" if trial.fits else "yellow"
        self.query_one("#trial", Static).update(Text("\n".join(map(printable, trial.lines)), style=style))
        self.refresh_bindings()

    def action_save(self) -> None:
        text = self.query_one(TextArea).text
        if text != self._fitting:
            return
        try:
            save(self._table, with_row(text_of(self._table, self._base), text))
        except ProbeError as error:
            self.query_one("#trial", Static).update(Text(printable(str(error)), style="yellow"))
            return
        self.dismiss(self._table)


def text_of(table: Path, base: str) -> str:
    """What is in the file so far, or `base`; ProbeError where that is no table."""
    text = read_text(table) if table.exists() else base
    if text.strip():
        parse_table(text, str(table))
    return text


def tried(text: str, table: Path, base: str, files: Files) -> Trial:
    """In the thread that reads the files: what the row pairs, in which shapes, and how far the two then are apart; and
    whether the table is one with it."""
    try:
        ours, theirs = files.opened().dumps
        parse_table(text, "the row")
        whole = pairs_of_table(parse_table(with_row(text_of(table, base), text), str(table)), ours, theirs)
        if whole.problems:
            return Trial(tuple(f"{one.message}  ({one.hint})" for one in whole.problems), fits=False)
        pairs = list(pairs_of_table(parse_table(text, "the row"), ours, theirs).pairs.values()) or list(
            whole.pairs.values()
        )
        lines = [f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'} of taps"]
        for pair in pairs[:SHOWN]:
            shapes = " + ".join(str(list(source.tap.shape)) for source in pair.sources)
            lines.append(f"{pair.reference.name} {list(pair.reference.shape)}  <-  {pair.candidate_name} {shapes}")
            lines.append(f"    {_apart(pair, ours, theirs)}")
        return Trial(tuple(lines), fits=bool(pairs))
    except ProbeError as error:
        return Trial((str(error), error.hint or ""), fits=False)


def _apart(pair: Pair, ours: Dump, theirs: Dump) -> str:
    try:
        kept = kept_tokens(ours, pair.reference.step) if pair.layout.unpadded else None
        sums = compare(ours.read(pair.reference), candidate_values(pair, theirs, kept))
    except NotKept as error:
        return str(error)
    return f"relative error {number(sums.rel_l2)}, cosine {sums.cosine:.6f}"


def row_of(files: Files, step: int, tap: str) -> tuple[str, str]:
    """In the thread that reads the files: the row as it stands (one to be filled in, for a tap without a counterpart),
    and the text of the shipped table that is in use."""
    shipped = shipped_table(Path(files.shipped)) if files.shipped else None
    return _row(files, step, tap), read_text(shipped) if shipped else ""


def _row(files: Files, step: int, tap: str) -> str:
    if files.opened().tap(step, tap).reference.is_functional:
        raise ProbeError("a function's taps follow the row of the module that calls it", hint="m at that module")
    pair = files.opened().pairs.get((step, tap))
    if pair is not None:
        return row_text(pair)
    return f'[[pair]]\nreference = {json.dumps(tap)}\ncandidate = "name a tap of the candidate"\n'
