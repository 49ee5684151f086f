"""The mapping's row of a tap: what stands beside it, in what layout, and why that is believed."""

from rich.console import Group, RenderableType
from rich.text import Text

from probe.align.mapping import Layout
from probe.printable import printable
from tui.reading import Files
from tui.scene import NOTHING, Scene, both_of


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    both = both_of(scene, files)
    if both is None:
        return NOTHING
    if both.pair is None:
        skipped = mapping.skipped if (mapping := files.opened().mapping) else ()
        reason = next((one.reason for one in skipped if one.tap == both.reference), "")
        told = f"left out by the table: {printable(reason)}" if reason else "has no counterpart in the candidate"
        return Group(_line("reference", both.reference.name), Text(), Text(told))
    pair = both.pair
    shapes = " + ".join(str(list(source.tap.shape)) for source in pair.sources)
    lines = [
        _line("reference", f"{pair.reference.name}   {list(pair.reference.shape)}"),
        _line("candidate", f"{pair.candidate_name}   {shapes}"),
        _line("layout", _layout(pair.layout)),
        _line("because", pair.reason),
    ]
    if not pair.firm:
        lines.append(Text("shown, and not judged: the two may be tapped at different points", style="yellow"))
    return Group(*lines)


def _layout(layout: Layout) -> str:
    parts = [layout.pattern] if layout.pattern else []
    parts += ["without the padding"] if layout.unpadded else []
    parts += [f"times {layout.scale:g}"] if layout.scale != 1 else []
    parts += [f"plus {layout.offset:g}"] if layout.offset else []
    return ", ".join(parts) or "as it is"


def _line(label: str, text: str) -> Text:
    return Text.assemble((f"{label:<11}", "dim"), printable(text))
