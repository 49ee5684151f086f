"""The weight audit: what became of each weight of the reference, in the candidate."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from probe.errors import ProbeError
from probe.render.plots import style
from probe.render.plots.style import styled
from probe.report import Report, WeightFinding

LEFT, WIDE, RIGHT, ROW = 3.2, 2.5, 1.2, 0.34
"""Inches."""
SHOWN = 30
"""Rows; what is suspicious first."""
TOGETHER = ("equal", "rounded")
"""Kinds of which one row is enough."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    below: str
    num_weights: int
    suspicious: bool
    sqnr_db: float | None


@styled
def weights(report: Report) -> Figure:
    """A row for each finding of the audit, what repeats through the layers being one: how many weights it is, and, of
    those that are near and not equal, the lowest signal over quantization noise in dB.

    ProbeError where the report has no audit: a dump without weights.
    """
    if not report.weights:
        raise ProbeError("the report has no weight audit", hint="both dumps must have been recorded with their weights")
    every = rows_of(report.weights)
    rows, left = every[:SHOWN], every[SHOWN:]
    num_left = sum(row.num_weights for row in left)
    note = f"{num_left} more weights in {len(left)} more rows: probe diff --weights" if left else ""
    height, below = ROW * len(rows), 0.8 + style.LINE * bool(note)
    figure = style.figure(below + height + 0.78)
    style.heading(figure, _title(report.weights), style.about(report.reference_path, report.candidate_path))
    axes = style.panel(figure, LEFT, below, WIDE, height)
    _draw_counts(axes, rows)
    if any(row.sqnr_db is not None for row in rows):
        _draw_decibels(style.panel(figure, LEFT + WIDE + 0.7, below, RIGHT, height), rows)
    honest = Patch(facecolor=style.REFERENCE, label="an honest conversion, or it may be meant")
    suspicious = Patch(facecolor=style.CANDIDATE, hatch="////", edgecolor=style.PAPER, label="! suspicious")
    style.legend(figure, [honest, suspicious], below - 0.68)
    style.caption(figure, note)
    return figure


def _draw_counts(axes: Axes, rows: list[Row]) -> None:
    """Logarithmic, from one half: one weight is seen beside hundreds."""
    most = max(row.num_weights for row in rows)
    axes.set_xscale("log")
    for at, row in enumerate(rows):
        colour, hatch = (style.CANDIDATE, "////") if row.suspicious else (style.REFERENCE, "")
        axes.barh(at, row.num_weights - 0.5, 0.6, left=0.5, color=colour, hatch=hatch, edgecolor=style.PAPER)
        axes.text(row.num_weights * 1.06, at, f"{row.num_weights:,}", va="center", size=style.SMALL)
        style.row_name(axes, at, f"! {row.name}" if row.suspicious else row.name, row.below)
    decades = [10**decade for decade in range(len(str(most)))]
    axes.set_xticks(decades, labels=[f"{decade:,}" for decade in decades])
    axes.minorticks_off()
    axes.set_xlabel("number of weights")
    axes.set(xlim=(0.5, 2 * most), ylim=(len(rows) - 0.5, -0.5), yticks=[])


def _draw_decibels(axes: Axes, rows: list[Row]) -> None:
    for at, row in enumerate(rows):
        if row.sqnr_db is not None:
            colour, mark = (style.CANDIDATE, "D") if row.suspicious else (style.REFERENCE, "o")
            axes.plot(row.sqnr_db, at, mark, color=colour, markersize=5)
    most = max(row.sqnr_db for row in rows if row.sqnr_db is not None)
    axes.set(xlim=(0, max(1.1 * most, 10.0)), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("SQNR, dB")
    axes.grid(axis="x", linewidth=0.6)


def rows_of(findings: tuple[WeightFinding, ...]) -> list[Row]:
    """What is suspicious first, then by how many weights; what is equal or rounded is one row each."""
    rows = []
    for finding in findings:
        if finding.suspicious or finding.kind not in TOGETHER:
            name = style.shown(finding.reference or finding.candidate, 46)
            rows.append(Row(finding.kind, name, len(finding.weights), finding.suspicious, finding.sqnr_db))
    for kind in TOGETHER:
        count = sum(len(one.weights) for one in findings if one.kind == kind and not one.suspicious)
        if count:
            rows.append(Row(kind, "", count, False, None))
    return sorted(rows, key=lambda row: (not row.suspicious, -row.num_weights))


def _title(findings: tuple[WeightFinding, ...]) -> str:
    count = sum(len(finding.weights) for finding in findings if finding.suspicious)
    total = sum(len(finding.weights) for finding in findings if finding.kind != "extra")
    return f"SUSPICIOUS  {count} of {total} weights" if count else f"NOTHING SUSPICIOUS  in {total} weights"
