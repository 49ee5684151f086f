"""The audit of the weights: what the candidate has in each weight's place."""

from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from probe.printable import printable
from probe.report import WeightFinding

NAMED = 6
"""Weights that are listed of those that are alike."""


class WeightsScreen(ModalScreen[None]):
    """Suspicious ones first; an honest conversion is said once for all weights that it holds of."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,w,q", "dismiss", "Back")]

    def __init__(self, weights: tuple[WeightFinding, ...]) -> None:
        super().__init__()
        self._weights = sorted(weights, key=lambda one: not one.suspicious)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="sheet") as sheet:
            sheet.border_title = "weights"
            yield Static(Group(*map(_told, self._weights)) if self._weights else Text("no weight was compared"))
        yield Footer()


def _told(one: WeightFinding) -> Text:
    sign = ("x ", "bold red") if one.suspicious else ("= ", "dim")
    names = printable(one.reference) + (f"  ->  {printable(one.candidate)}" if one.candidate != one.reference else "")
    sqnr = f"   SQNR {one.sqnr_db:.1f} dB" if one.sqnr_db is not None else ""
    count = f"   {len(one.weights)} weights" if len(one.weights) > 1 else ""
    head = Text.assemble(sign, (one.kind, "bold"), f"  {names}", (count + sqnr, "dim"))
    few = ", ".join(map(printable, one.weights[:NAMED])) + (", ..." if len(one.weights) > NAMED else "")
    return head + Text(f"\n    {printable(one.message)}\n    {few if len(one.weights) > 1 else ''}\n")
