"""What came in with the inputs, and what arose here: every tap of the module, in the order of execution."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe.printable import printable
from probe.report import TapComparison
from probe.words import number
from tui.figures import RATIO
from tui.reading import Files
from tui.scene import NOTHING, Scene
from tui.tree import Mark


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    assert scene.report is not None
    if not scene.node.entries:
        return NOTHING
    rows = {row.reference: row for row in scene.report.taps if row.step == scene.step}
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("port", overflow="fold")
    for title in ("error", "of its own", "floor", RATIO.title):
        table.add_column(title, justify="right")
    for entry in scene.node.entries:
        row = rows.get(entry.tap)
        port = Text(printable(entry.tap.partition(":")[2]), style="bold" if entry == scene.entry else "")
        if row is None:
            table.add_row(port, Text("no counterpart", style="dim"))
        else:
            ratio = RATIO.text(row.ratio) if row.ratio is not None else ""
            table.add_row(port, number(row.rel_l2), number(row.local_error), number(row.floor), ratio)
    taps = [row for entry in scene.node.entries if (row := rows.get(entry.tap)) is not None]
    inside = [printable(child.label) for child in scene.node.children if child.mark is Mark.OWN]
    return Group(table, Text(), Text(_told(taps, inside, replayed=scene.report.replayed)))


def _told(taps: list[TapComparison], inside: list[str], *, replayed: bool) -> str:
    """In a sentence. `inside`: children that do something of their own."""
    came = max((tap.rel_l2 for tap in taps if ":in" in tap.reference), default=None)
    left = max((tap.rel_l2 for tap in taps if ":out" in tap.reference), default=None)
    words = []
    if came is not None:
        words.append("what came in is the same on both sides" if came == 0 else f"an error of {number(came)} came in")
    if left is not None:
        words.append(f"one of {number(left)} goes out")
    told = "; ".join(words)
    own = max((tap.local_error for tap in taps if tap.local_error is not None), default=None)
    if inside:
        return f"{told}; what is wrong arose inside: {', '.join(inside)}"
    if own is not None:
        return f"{told}: of that, {number(own)} arose here" if told else f"{number(own)} arose here"
    return told + ("" if replayed else ". Nothing was replayed: how much of it arose here is not known")
