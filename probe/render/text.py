"""A Report for a terminal: the verdict where the eye falls, then findings, numbers around the first, and trust."""

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.report import Finding, Report, Status, TapComparison, Verdict

STYLES = {Verdict.IDENTICAL: "bold green", Verdict.NOISE: "bold green", Verdict.DIVERGED: "bold white on red"}
MARKS = {Status.OK: "ok", Status.WARN: "WARN", Status.FAIL: "FAIL"}
CONTEXT = 3
"""Rows shown before and after the first divergence."""
WIDTH = 110
"""Columns where stdout is no terminal."""


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def printable(text: str) -> str:
    """A name as it may safely be shown: control characters (terminal escapes) become visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def number(value: float | None) -> str:
    """Two digits are enough to see an error's size; an exact zero shows as 0."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else str(value)


def print_report(report: Report) -> None:
    out = console()
    _print_verdict(out, report)
    for index, finding in enumerate(report.findings, 1):
        _print_finding(out, index, finding)
    _print_neighbourhood(out, report)
    _print_output(out, report)
    _print_coverage(out, report)
    _print_trust(out, report)


def _print_verdict(out: Console, report: Report) -> None:
    for check in report.trust:
        if check.status is not Status.OK:
            out.print(Text(f"{MARKS[check.status]}: {printable(check.message)}", style="yellow"))
    line = Text.assemble((f" {report.verdict.upper()} ", STYLES[report.verdict]), " ")
    match report.verdict:
        case Verdict.IDENTICAL:
            line.append("every compared number is the same")
        case Verdict.NOISE:
            line.append(
                "the two differ by honest rounding alone"
                if report.replayed
                else "no difference beyond what rounding may gather"
            )
        case Verdict.DIVERGED if report.first is not None:
            line.append(
                f"first at {printable(report.first.module) or 'the model itself'}, tap {printable(report.first.tap)}"
            )
        case _:
            line.append("a NaN or an infinity is on one side alone")
    out.print(line)
    out.print()


def _print_finding(out: Console, index: int, finding: Finding) -> None:
    head = Text.assemble(
        (f"{index:2d}. ", "bold"),
        (printable(finding.module) or "(the model itself)", "bold"),
        f"   cause: {finding.cause}",
    )
    out.print(head)
    out.print(Text(f"    {printable(finding.message)}"))
    if len(finding.modules) > 1:
        out.print(
            Text(
                f"    in {', '.join(printable(name) or '(the model itself)' for name in finding.modules)}", style="dim"
            )
        )
    out.print()


def _print_neighbourhood(out: Console, report: Report) -> None:
    """The taps around the first divergence, where they part."""
    if report.first is None:
        return
    names = [(tap.step, tap.reference) for tap in report.taps]
    at = names.index((report.first.step, report.first.tap))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for title in ("reference tap", "candidate tap"):
        table.add_column(title, overflow="fold")
    for title in ("error", "of its own", "floor", "ratio"):
        table.add_column(title, justify="right")
    for index, tap in enumerate(report.taps[max(0, at - CONTEXT) : at + CONTEXT + 1], max(0, at - CONTEXT)):
        table.add_row(*_row(tap, index == at), style="bold" if index == at else None)
    out.print(table)
    out.print()


def _row(tap: TapComparison, is_first: bool) -> tuple[Text | str, ...]:
    ratio = "" if tap.ratio is None else f"{tap.ratio:,.1f}" if tap.ratio < 100 else f"{tap.ratio:,.0f}"
    return (
        ">" if is_first else "",
        Text(printable(tap.reference)),
        Text(printable(tap.candidate)),
        number(tap.rel_l2),
        number(tap.local_error),
        number(tap.floor),
        ratio,
    )


def _print_output(out: Console, report: Report) -> None:
    if report.output is None:
        out.print("output    not compared: the two models return nothing alike")
        return
    shown = report.output
    line = f"output    {printable(shown.tap)}: relative error {number(shown.rel_l2)}, largest {number(shown.max_abs)}"
    if shown.argmax_match is not None and shown.top10_overlap is not None:
        line += f", KL {number(shown.kl)} nats, same next token {shown.argmax_match:.1%}"
        line += f", top ten shared {shown.top10_overlap:.1%}"
    out.print(Text(line))


def _print_coverage(out: Console, report: Report) -> None:
    out.print(Text(f"compared  {len(report.taps)} pairs of taps"))
    for side, names in (("reference", report.reference_only), ("candidate", report.candidate_only)):
        if names:
            few = ", ".join(printable(name) for name in names[:3])
            out.print(
                Text(
                    f"          {len(names)} {side} taps have no counterpart: {few}{', ...' if len(names) > 3 else ''}",
                    style="dim",
                )
            )
    for note in report.notes:
        out.print(Text(f"note      {printable(note)}", style="dim"))


def _print_trust(out: Console, report: Report) -> None:
    for check in report.trust:
        if check.status is Status.OK:
            out.print(Text(f"trust     {MARKS[check.status]}: {printable(check.message)}", style="dim"))
