"""A Report for a terminal: the verdict where the eye falls, then findings, numbers around the first, and trust."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.printable import printable
from probe.render.console import console, prose
from probe.render.findings import print_findings
from probe.render.weights import print_suspicious
from probe.report import Report, Status, TapComparison, Verdict
from probe.words import (
    error_of,
    is_repeated,
    mark,
    neighbourhood,
    number,
    output_in_words,
    times_the_floor,
    unpaired,
    verdict_in_words,
)

STYLES = {Verdict.IDENTICAL: "bold green", Verdict.NOISE: "bold green", Verdict.DIVERGED: "bold white on red"}


def print_report(report: Report) -> None:
    out = console()
    _print_verdict(out, report)
    print_findings(out, report)
    _print_neighbourhood(out, report)
    _print_output(out, report)
    _print_coverage(out, report)
    _print_trust(out, report)
    for command in report.next_commands:
        out.print(Text(printable(f"next      {command}")), soft_wrap=True)


def _print_verdict(out: Console, report: Report) -> None:
    for check in report.trust:
        if check.status is not Status.OK and not is_repeated(check, report):
            prose(out, Text(printable(check.message), style="yellow"), f"{mark(check)}:")
    print_suspicious(out, report.weights)
    prose(out, Text.assemble((f" {report.verdict.upper()} ", STYLES[report.verdict]), " ", verdict_in_words(report)))
    out.print()


def _print_neighbourhood(out: Console, report: Report) -> None:
    around = neighbourhood(report)
    if around is None:
        return
    shown, at = around
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for title in ("reference tap", "candidate tap"):
        table.add_column(title, overflow="fold")
    for title in ("error", "of its own", "floor", "ratio"):
        table.add_column(title, justify="right")
    estimated = any(tap.rel_l2_stderr is not None for tap in report.taps)
    if estimated:
        table.add_column("+-", justify="right")
    for index in shown:
        table.add_row(*_row(report.taps[index], index == at, estimated), style="bold" if index == at else None)
    out.print(table)
    out.print()


def _row(tap: TapComparison, is_first: bool, estimated: bool) -> tuple[Text | str, ...]:
    """Where some errors are estimates, each has its standard error last."""
    return (
        ">" if is_first else "",
        Text(printable(tap.reference)),
        Text(printable(tap.candidate)),
        error_of(tap),
        number(tap.local_error),
        number(tap.floor),
        times_the_floor(tap.ratio),
        *((number(tap.rel_l2_stderr),) if estimated else ()),
    )


def _print_output(out: Console, report: Report) -> None:
    prose(out, Text(output_in_words(report.output)), "output")


def _print_coverage(out: Console, report: Report) -> None:
    prose(out, Text(f"{len(report.taps)} pairs of taps"), "compared")
    for side, names in (("reference", report.reference_only), ("candidate", report.candidate_only)):
        if names:
            few = ", ".join(printable(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
            prose(out, Text(f"{unpaired(len(names), side)}: {few}", style="dim"), " ")
    if report.skipped:
        tap, reason = report.skipped[0]
        more = ", ..." if len(report.skipped) > 1 else ""
        what = f"{len(report.skipped)} reference taps are left out by the table: "
        prose(out, Text(f"{what}{printable(tap)} ({printable(reason)}){more}", style="dim"), " ")
    for note in report.notes:
        prose(out, Text(printable(note), style="dim"), "note")


def _print_trust(out: Console, report: Report) -> None:
    for check in report.trust:
        if check.status is Status.OK:
            prose(out, Text(f"{mark(check)}: {printable(check.message)}", style="dim"), "trust")
