"""A Report for a terminal: the verdict where the eye falls, then findings, numbers around the first, and trust."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.render.console import console, prose
from probe.render.findings import module_name, number, print_findings
from probe.render.printable import printable
from probe.render.weights import is_repeated, print_suspicious
from probe.report import OutputComparison, Place, Report, Status, TapComparison, Verdict

STYLES = {Verdict.IDENTICAL: "bold green", Verdict.NOISE: "bold green", Verdict.DIVERGED: "bold white on red"}
MARKS = {Status.OK: "ok", Status.WARN: "WARN", Status.FAIL: "FAIL"}
CONTEXT = 3
"""Rows shown before and after the first divergence."""
HUGE = 1e8
"""From here on a ratio's digits say nothing: of a mask, which has no rounding, it is as good as infinite."""


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
            prose(out, Text(printable(check.message), style="yellow"), f"{MARKS[check.status]}:")
    print_suspicious(out, report.weights)
    prose(out, Text.assemble((f" {report.verdict.upper()} ", STYLES[report.verdict]), " ", verdict_in_words(report)))
    out.print()


def verdict_in_words(report: Report) -> str:
    """What follows the verdict's one word."""
    match report.verdict:
        case Verdict.IDENTICAL:
            return "every compared number is the same"
        case Verdict.NOISE:
            return (
                _not_judged(report)
                if report.unjudged
                else "the two differ by honest rounding alone"
                if report.replayed
                else "nothing is seen to differ by more than rounding; what was recorded does not tell more"
                if report.undecided
                else "no difference beyond what rounding may gather"
            )
        case Verdict.DIVERGED if report.first is not None:
            seen = f"; seen from {printable(report.first.seen_at)} on" if report.first.seen_at else ""
            return f"first {_place(report.first)}{seen}"
        case _:
            return "a NaN or an infinity is on one side alone"


def _not_judged(report: Report) -> str:
    if report.replayed:
        return f"nothing is seen to differ by more than rounding; {len(report.unjudged)} places cannot be judged"
    return (
        f"from {printable(report.unjudged[0])} on quantized weights may be all that differs, and may hide a bug: "
        "nothing was replayed"
    )


def _place(first: Place) -> str:
    """The module, or the ends of a span of which the candidate shows nothing more."""
    if first.uncaptured:
        return f"between {printable(first.span[0]) or 'the inputs'} and {printable(first.span[1])}"
    return f"at {module_name(first.module)}, tap {printable(first.tap)}"


def neighbourhood(report: Report) -> tuple[range, int] | None:
    """The taps around the first divergence, and which of them it is: numbers in `report.taps`. None where nothing
    diverges."""
    if report.first is None:
        return None
    names = [(tap.step, tap.reference) for tap in report.taps]
    place = (report.first.step, report.first.tap)
    if place not in names:  # a step of a sequence, whose taps are listed once for all its steps
        place = next(name for name in names if name[1] == report.first.tap)
    at = names.index(place)
    return range(max(0, at - CONTEXT), min(at + CONTEXT + 1, len(names))), at


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
        number(tap.rel_l2),
        number(tap.local_error),
        number(tap.floor),
        times_the_floor(tap.ratio),
        *((number(tap.rel_l2_stderr),) if estimated else ()),
    )


def times_the_floor(ratio: float | None) -> str:
    """`0.3`, `602,579`, `4.8e+10`."""
    if ratio is None:
        return ""
    if ratio >= HUGE:
        return f"{ratio:.1e}"
    return f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}"


def _print_output(out: Console, report: Report) -> None:
    prose(out, Text(output_in_words(report.output)), "output")


def output_in_words(shown: OutputComparison | None) -> str:
    """How far the two models' results are apart."""
    if shown is None:
        return "not compared: the two models return nothing alike"
    name = shown.tap.rpartition(":")[2].removeprefix("out").removeprefix(".")  # ":out.logits" is the model's logits
    line = f"{printable(name)}: " if name else ""
    line += f"relative error {number(shown.rel_l2)}"
    line += f", largest {number(shown.max_abs)}" if shown.max_abs == shown.max_abs else ""
    if shown.argmax_match is not None and shown.top10_overlap is not None:
        line += f", KL {number(shown.kl)} nats, same next token {shown.argmax_match:.1%}"
        line += f", top ten shared {shown.top10_overlap:.1%}"
    return line


def _print_coverage(out: Console, report: Report) -> None:
    prose(out, Text(f"{len(report.taps)} pairs of taps"), "compared")
    for side, names in (("reference", report.reference_only), ("candidate", report.candidate_only)):
        if names:
            few = ", ".join(printable(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
            prose(out, Text(f"{len(names)} {side} taps have no counterpart: {few}", style="dim"), " ")
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
            prose(out, Text(f"{MARKS[check.status]}: {printable(check.message)}", style="dim"), "trust")
