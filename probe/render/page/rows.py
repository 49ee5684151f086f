"""The table of all taps: every number as the text report has it, and which rows are worst."""

import json
import math
from dataclasses import dataclass

from probe.locate import ABOVE_FLOOR
from probe.printable import printable
from probe.report import Report, Seen, TapComparison
from probe.words import number, times_the_floor

WORST = 100
"""Rows that are printed, and shown where no script runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tap as it is shown."""

    cells: tuple[str, ...]
    """As COLUMNS."""
    above: bool
    """It has an error of its own, above the floor."""


@dataclass(frozen=True, slots=True)
class Column:
    """What heads a column."""

    title: str
    kind: str
    """CSS classes: "name", "word" or "number"; of the number that is marked, "number ratio"."""
    meaning: str


COLUMNS = (
    Column("step", "number", "which call of the model"),
    Column("reference", "name", "the tap in the reference"),
    Column("candidate", "name", "what it was compared with"),
    Column("shape", "word", "of the reference's tensor"),
    Column("dtype", "word", "of the candidate's tensor"),
    Column("error", "number", "norm of the difference over the reference's norm"),
    Column("local error", "number", "the part of it that arose here, and did not come in; empty where not replayed"),
    Column("floor", "number", "what honest rounding causes here"),
    Column("ratio", "number ratio", f"local error over floor: a fault above {ABOVE_FLOOR:g}"),
    Column("max abs", "number", "largest difference of one element"),
    Column("sqnr", "number", "signal to noise in dB: 20 log10 of the reference's norm over the difference's"),
)


def rows_of(report: Report) -> list[Row]:
    return [Row(_cells(tap), is_above(tap)) for tap in report.taps]


def is_above(tap: TapComparison) -> bool:
    return tap.one_sided_nonfinite or (tap.ratio is not None and tap.ratio > ABOVE_FLOOR)


def worst(report: Report, rows: list[Row]) -> list[Row]:
    """The first WORST by ratio to the floor, or by error where nothing was replayed; ties in order of execution."""
    order = sorted(range(len(rows)), key=lambda index: _badness(report.taps[index]), reverse=True)
    return [rows[index] for index in order[:WORST]]


def as_json(rows: list[Row]) -> str:
    """By columns, safe inside a <script>: no `<` that could end it, no character that ends a line of JavaScript."""
    cells: list[tuple[str, ...]] = list(zip(*(row.cells for row in rows), strict=True)) or [()] * len(COLUMNS)
    above = [index for index, row in enumerate(rows) if row.above]
    text = json.dumps({"columns": cells, "above": above}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _cells(tap: TapComparison) -> tuple[str, ...]:
    shape = "\u00d7".join(map(str, tap.shape)) or "scalar"
    figures = (number(tap.rel_l2), number(tap.local_error), number(tap.floor), times_the_floor(tap.ratio))
    error, *own = figures
    if tap.seen is Seen.NOTHING:
        error = ""
    elif tap.seen is Seen.STATISTICS and tap.rel_l2 != 0:
        error = f"\u2265 {error}"
    elif tap.rel_l2_stderr is not None:
        error = f"{error} \u00b1 {number(tap.rel_l2_stderr)}"
    names = printable(tap.reference), printable(tap.candidate)
    return str(tap.step), *names, shape, printable(tap.dtype), error, *own, _known(tap.max_abs), _decibels(tap.sqnr_db)


def _known(value: float) -> str:
    return "" if math.isnan(value) else number(value)


def _decibels(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"


def _badness(tap: TapComparison) -> tuple[bool, float, float]:
    error = 0.0 if math.isnan(tap.rel_l2) else tap.rel_l2
    return tap.one_sided_nonfinite, tap.ratio or 0.0, error
