"""Who explains how much of the output's error."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from probe.render.plots import style
from probe.render.plots.style import styled
from probe.report import Finding, Report
from probe.words import output_in_words, percent, place_of

LEFT, WIDE, ROW = 3.35, 3.55, 0.34
"""Inches."""
SHOWN = 24
"""Findings that have a row each."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A bar."""

    name: str
    below: str
    share: float | None
    """Of the squared error; None where it was not measured."""
    told: str
    is_left: bool = False
    """What remains."""


@styled
def ledger(report: Report) -> Figure:
    """A bar a finding: what of the candidate's squared output error is gone once it alone is planted in the reference.

    Below them what is gone with all of them together, and what remains. Shares overlap where one bug hides another, and
    errors may cancel: they need not add up. Where nothing was found or measured, the picture says so.
    """
    entries = [_entry(number, finding) for number, finding in enumerate(report.findings[:SHOWN], 1)]
    totals = _totals(report)
    notes = _notes(report)
    height = ROW * (len(entries) + len(totals) + 0.5 * bool(totals))
    below = 0.72 + style.LINE * len(notes) if entries or totals else 0.2
    figure = style.figure(below + height + 0.75)
    style.heading(figure, _title(report), style.about(report.reference_path, report.candidate_path))
    if entries or totals:
        axes = style.panel(figure, LEFT, below, WIDE, height)
        for row, entry in enumerate(entries):
            _draw(axes, row, entry, style.REFERENCE)
        for row, entry in enumerate(totals, len(entries)):
            _draw(axes, row + 0.5, entry, style.INK)
        axes.set_ylim(len(entries) + len(totals) + 0.5 * bool(totals) - 0.4, -0.6)
        axes.set_yticks([])
        axes.set_xlim(0, 100)
        axes.set_xlabel("% of the candidate's squared output error")
    style.caption(figure, "\n".join(notes))
    return figure


def _draw(axes: Axes, row: float, entry: Entry, colour: str) -> None:
    share = 100 * (entry.share or 0.0)
    hatch = "////" if entry.is_left else ""
    if entry.share is not None:
        axes.barh(row, share, 0.62, color=style.PAPER if hatch else colour, hatch=hatch, edgecolor=colour)
    ink = style.INK if entry.share is not None else style.MUTED
    axes.text(share + 1.5, row, entry.told, va="center", size=style.SMALL, color=ink)
    style.row_name(axes, row, entry.name, entry.below)


def _entry(index: int, finding: Finding) -> Entry:
    name = f"{index}  {style.shown(finding.cause, 34)}"
    more = f" and {len(finding.modules) - 1} more" if len(finding.modules) > 1 else ""
    place = style.shown(place_of(finding), 44 - len(more)) + more
    if finding.share is not None:
        return Entry(name, place, finding.share, percent(finding.share))
    why = (
        "unexplained"
        if finding.cause == "unknown"
        else "not measured alone"
        if finding.error_after is not None
        else "not planted"
    )
    return Entry(name, place, None, why)


def _totals(report: Report) -> list[Entry]:
    if report.explained is None:
        return []
    left = max(1 - report.explained, 0.0)
    told = "nothing" if left == 0 else f"{100 * left:.3g} %" if left > 1e-5 else "under 0.001 %"
    return [
        Entry("all together", "", report.explained, percent(report.explained)),
        Entry("remains", "", left, told, is_left=True),
    ]


def _title(report: Report) -> str:
    if report.explained is not None:
        return f"{percent(report.explained)} of the output's error is explained"
    if not report.findings:
        return f"{report.verdict.upper()}  there is no finding"
    return f"How much of the output's error the finding{'s' * (len(report.findings) > 1)} explain is not measured"


def _notes(report: Report) -> list[str]:
    notes = [f"output: {style.shown(output_in_words(report.output), 124)}"]
    shares = [finding.share for finding in report.findings if finding.share is not None]
    if len(shares) > 1:
        notes.append(
            f"planted one by one the findings explain {100 * sum(shares):.1f} % in sum: shares overlap, or cancel"
        )
    if not report.replayed:
        notes.append("nothing was replayed, so nothing was planted")
    if len(report.findings) > SHOWN:
        notes.append(f"{len(report.findings) - SHOWN} more findings have no row: probe diff lists them")
    return notes
