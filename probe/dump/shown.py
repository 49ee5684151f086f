"""What a notebook's cell shows of a dump: its run and its first taps; and the table of all of them as a frame."""

from typing import TYPE_CHECKING

from probe.frame import frame
from probe.html import AMBER, Html, block, name, paragraph, strong, table, text
from probe.tap import Statistics
from probe.words import number

if TYPE_CHECKING:
    import pandas as pd

    from probe.dump.reader import Dump

FIRST = 10
"""Taps that a cell shows."""
PLACE = ("step", "name", "module", "module_class", "shape", "dtype")
"""Of a tap, besides its statistics, what a row of the frame says."""


def dump(recorded: "Dump") -> Html:
    if recorded.is_closed:
        return block(paragraph(name(str(recorded.path)), text("closed")))
    taps = [*recorded.taps, *recorded.gradients]
    steps = f" in {len(recorded.steps)} steps" if len(recorded.steps) > 1 else ""
    holds = f"{len(recorded.taps)} taps{steps}, {len(recorded.weights)} weights, run in {recorded.dtype}"
    cut_short = [paragraph(strong("UNFINISHED:", AMBER), text("the run that wrote it was cut short"))]
    kept = [paragraph(strong("KEPT:", AMBER), text(recorded.detail.words))]
    rows = [
        (
            tap.name,
            str(tap.step),
            "x".join(map(str, tap.shape)) or "scalar",
            tap.dtype,
            *("" if figure != figure else number(figure) for figure in tap.statistics[:4]),
        )
        for tap in taps[:FIRST]
    ]
    more = [paragraph(text(f"and {len(taps) - FIRST} more: to_pandas() has them all"), faint=True)]
    return block(
        paragraph(name(str(recorded.path)), text(holds)),
        *([] if recorded.complete else cut_short),
        *([] if recorded.detail.is_whole else kept),
        table(("tap", "step", "shape", "dtype", "min", "max", "mean", "std"), rows, names=1),
        *(more if len(taps) > FIRST else []),
    )


def as_frame(recorded: "Dump") -> "pd.DataFrame":
    taps = [*recorded.taps, *recorded.gradients]
    columns = {field: [getattr(tap, field) for tap in taps] for field in PLACE}
    figures = {field: [getattr(tap.statistics, field) for tap in taps] for field in Statistics._fields}
    return frame({"tap" if field == "name" else field: values for field, values in (columns | figures).items()})
