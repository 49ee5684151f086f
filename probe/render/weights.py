"""The weight audit as text: what is suspicious, then one line of what is an honest conversion."""

from rich.console import Console
from rich.text import Text

from probe.printable import printable
from probe.render.console import console, prose
from probe.report import WeightFinding

SHOWN = 12
"""Findings of a kind that may be meant; the rest are counted."""
QUIET = ("equal", "rounded")
"""Kinds that a count says all of."""


def print_audit(findings: tuple[WeightFinding, ...]) -> None:
    """All of `probe diff --weights`."""
    out = console()
    suspicious = print_suspicious(out, findings)
    count = sum(len(finding.weights) for finding in findings if finding.suspicious)
    if suspicious:
        line = Text.assemble((" SUSPICIOUS ", "bold white on red"), f" {count} of {_total(findings)} weights")
    else:
        line = Text.assemble((" NOTHING SUSPICIOUS ", "bold green"), f" in {_total(findings)} weights")
    prose(out, line)
    _print_rest(out, findings)


def print_suspicious(out: Console, findings: tuple[WeightFinding, ...]) -> int:
    """What no honest conversion does; how many findings that were."""
    suspicious = [finding for finding in findings if finding.suspicious]
    for finding in suspicious:
        prose(out, Text(printable(f"{finding.kind}: {finding.message}"), style="yellow"), "WEIGHTS:")
    return len(suspicious)


def _print_rest(out: Console, findings: tuple[WeightFinding, ...]) -> None:
    honest = [finding for finding in findings if not finding.suspicious]
    counts: dict[str, int] = {}
    for finding in honest:
        counts[finding.kind] = counts.get(finding.kind, 0) + len(finding.weights)
    if counts:
        prose(out, Text(", ".join(f"{count} {kind}" for kind, count in counts.items())), "others")
    told = [finding for finding in honest if finding.kind not in QUIET]
    for finding in told[:SHOWN]:
        prose(out, Text(printable(finding.message), style="dim"), " ")
    if len(told) > SHOWN:
        prose(out, Text(f"and {len(told) - SHOWN} more: see --json", style="dim"), " ")


def _total(findings: tuple[WeightFinding, ...]) -> int:
    return sum(len(finding.weights) for finding in findings if finding.kind != "extra")
