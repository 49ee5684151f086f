"""Findings for a terminal: the cause, what it is believed for, and how much of the output's error it explains."""

from rich.console import Console
from rich.text import Text

from probe.printable import printable
from probe.render.console import prose
from probe.report import Finding, Report
from probe.words import evidence, explained, hidden, module_name, place_of


def print_findings(out: Console, report: Report) -> None:
    for index, finding in enumerate(report.findings, 1):
        _print_finding(out, index, finding, report)
    _print_explained(out, report)


def _print_finding(out: Console, index: int, finding: Finding, report: Report) -> None:
    prose(out, Text.assemble((f"{index:2d}. {place_of(finding)}", "bold"), f"   cause: {finding.cause}"))
    prose(out, Text(printable(finding.message)), indent=4)
    if finding.uncaptured:
        prose(out, Text(printable(hidden(finding, report)), style="yellow"), indent=4)
    if finding.error_after is not None:
        prose(out, Text(evidence(finding)), indent=4)
    if len(finding.modules) > 1:
        prose(out, Text(f"in {', '.join(map(module_name, finding.modules))}", style="dim"), indent=4)
    out.print()


def _print_explained(out: Console, report: Report) -> None:
    told = explained(report)
    if told:
        prose(out, Text(told))
        out.print()
