"""What a notebook's cell shows of a Report: the answer and what is around it, never all of its taps."""

from typing import TYPE_CHECKING

from probe.html import AMBER, GREEN, RED, Html, block, name, paragraph, strong, table, text
from probe.words import (
    error_of,
    evidence,
    explained,
    hidden,
    is_repeated,
    mark,
    module_name,
    neighbourhood,
    number,
    output_in_words,
    place_of,
    times_the_floor,
    unpaired,
    verdict_in_words,
)

if TYPE_CHECKING:
    from probe.report import Finding, Place, Report

MOST = 8
"""Findings, or warnings, that are shown; the others are counted."""
MODULES = 6
"""Modules of one finding that are named."""


def of_report(whole: "Report") -> Html:
    colour = RED if whole.verdict == "diverged" else GREEN
    verdict = paragraph(strong(whole.verdict.upper(), colour), text(verdict_in_words(whole)))
    findings = [_finding(one, order, whole) for order, one in enumerate(whole.findings[:MOST], 1)]
    return block(
        *_doubts(whole),
        verdict,
        *findings,
        *_more(len(whole.findings), "findings: report.findings"),
        *([paragraph(text(explained(whole)))] if explained(whole) else []),
        *_around_the_first(whole),
        paragraph(text(f"output: {output_in_words(whole.output)}")),
        paragraph(text(_coverage(whole)), faint=True),
        *(paragraph(text(f"note: {note}"), faint=True) for note in whole.notes[:MOST]),
        *_more(len(whole.notes), "notes: report.notes"),
        *(paragraph(text("next:"), name(command)) for command in whole.next_commands[:MOST]),
    )


def of_finding(one: "Finding") -> Html:
    return block(_finding(one))


def of_place(first: "Place") -> Html:
    figures = (number(first.local_error), number(first.floor), times_the_floor(first.ratio))
    header = ("module", "tap", "step", "error of its own", "floor", "ratio")
    return block(table(header, [(module_name(first.module), first.tap, str(first.step), *figures)], names=2))


def _doubts(whole: "Report") -> list[Html]:
    checks = [one for one in whole.trust if one.status != "ok" and not is_repeated(one, whole)]
    told = [(f"{mark(one)}:", one.message) for one in checks]
    told += [("WEIGHTS:", one.message) for one in whole.weights if one.suspicious]
    shown = [paragraph(strong(label, AMBER), text(message)) for label, message in told[:MOST]]
    return [*shown, *_more(len(told), "doubts: report.trust, report.weights")]


def _more(num: int, what: str) -> list[Html]:
    return [paragraph(text(f"and {num - MOST} more {what}"), faint=True)] if num > MOST else []


def _finding(one: "Finding", order: int | None = None, whole: "Report | None" = None) -> Html:
    lead = [text(f"{order}.")] if order is not None else []
    lines = [paragraph(*lead, strong(one.cause), text("in"), name(place_of(one)))]
    lines.append(paragraph(text(one.message), indent=2))
    if one.uncaptured and whole is not None:
        lines.append(paragraph(text(hidden(one, whole)), indent=2))
    if told := evidence(one):
        lines.append(paragraph(text(told), indent=2, faint=True))
    if len(one.modules) > 1:
        few = ", ".join(map(module_name, one.modules[:MODULES]))
        more = f" and {len(one.modules) - MODULES} more" if len(one.modules) > MODULES else ""
        lines.append(paragraph(text("in"), name(f"{few}{more}"), indent=2, faint=True))
    return Html("".join(lines))


def _around_the_first(whole: "Report") -> list[Html]:
    around = neighbourhood(whole)
    if around is None:
        return []
    shown, at = around
    rows = [
        (
            tap.reference,
            tap.candidate,
            error_of(tap),
            *map(number, (tap.local_error, tap.floor)),
            times_the_floor(tap.ratio),
        )
        for tap in (whole.taps[index] for index in shown)
    ]
    header = ("reference tap", "candidate tap", "error", "of its own", "floor", "ratio")
    return [table(header, rows, names=2, marked=shown.index(at))]


def _coverage(whole: "Report") -> str:
    left = [(len(whole.reference_only), "reference"), (len(whole.candidate_only), "candidate")]
    alone = "".join(f"; {unpaired(num, side)}" for num, side in left if num)
    replayed = "" if whole.replayed else "; nothing was replayed, places are approximate"
    return f"{len(whole.taps)} pairs of taps compared{alone}{replayed}"
