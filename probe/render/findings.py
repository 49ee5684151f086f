"""Findings for a terminal: the cause, what it is believed for, and how much of the output's error it explains."""

import math

from rich.console import Console
from rich.text import Text

from probe.render.console import prose
from probe.render.printable import printable
from probe.report import Finding, Report

NAMED = 4
"""Taps that a finding names of those that the candidate does not show."""


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


def evidence(finding: Finding) -> str:
    """Why its cause is believed; "" where it was not planted."""
    if finding.error_after is None:
        return ""
    falls = f"its error of {number(finding.error_before)} falls to {number(finding.error_after)}"
    told = f"{falls} once that is planted into the reference"
    if finding.share is not None:
        told += f", and {percent(finding.share)} of the output's error goes with it"
    return told


def place_of(finding: Finding) -> str:
    """The module; of a span that nothing explains, the first and the last of the modules that it runs through."""
    if finding.cause != "unknown" or not finding.uncaptured:
        return module_name(finding.module)
    inside = [tap.rpartition(":")[0].partition("@")[0].rstrip(".") for tap in (*finding.uncaptured, finding.span[1])]
    outer = [one for one in inside if not any(one != other and f"{one}.".startswith(f"{other}.") for other in inside)]
    ends = dict.fromkeys((outer[0], outer[-1]))
    return " to ".join(map(module_name, ends))


def hidden(finding: Finding, report: Report) -> str:
    """`between A and B; not captured in the candidate: ...`: a span longer than it need be. Names as in the dump."""
    few = ", ".join(finding.uncaptured[:NAMED])
    more = f" and {len(finding.uncaptured) - NAMED} more" if len(finding.uncaptured) > NAMED else ""
    what = "without a counterpart" if report.candidate_only else "not captured"
    place = f"between {finding.span[0] or 'the inputs'} and {finding.span[1]}; "
    return f"{'' if finding.cause == 'unknown' else place}{what} in the candidate: {few}{more}"


def _print_explained(out: Console, report: Report) -> None:
    told = explained(report)
    if told:
        prose(out, Text(told))
        out.print()


def explained(report: Report) -> str:
    """How far the findings together go; "" where that is not known, or there is one alone."""
    known = [finding for finding in report.findings if finding.error_after is not None]
    if report.explained is None or not known or len(report.findings) == 1:
        return ""
    what = (
        "these findings"
        if len(known) == len(report.findings)
        else f"the findings with a cause ({len(known)} of {len(report.findings)})"
    )
    return f"planted together, {what} explain {percent(report.explained)} of the output's error"


def percent(share: float) -> str:
    """98.4 %, 99.998 %: what is missing is never rounded away, down to a thousandth of a percent."""
    if share < 1e-3:
        return "under 0.1 %"
    digits = min(max(1, -math.floor(math.log10(max(1 - share, 1e-5))) - 2), 3)
    return f"{math.floor(share * 10 ** (digits + 2)) / 10**digits:.{digits}f} %"


def number(value: float | None) -> str:
    """Two digits are enough to see an error's size; an exact zero shows as 0."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else str(value)


def module_name(name: str) -> str:
    return printable(name) or "the model itself"
