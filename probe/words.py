"""A Report in sentences: plain text, the same in a terminal, in a notebook and on a page. Names in it are printable."""

import math
from typing import TYPE_CHECKING

from probe.printable import printable

if TYPE_CHECKING:
    from probe.report import Finding, OutputComparison, Place, Report, TapComparison, TrustCheck

NAMED = 4
"""Taps that a finding names of those that the candidate does not show."""
CONTEXT = 3
"""Rows shown before and after the first divergence."""
HUGE = 1e8
"""From here on a ratio's digits say nothing: of a mask, which has no rounding, it is as good as infinite."""


def mark(check: "TrustCheck") -> str:
    """ok, WARN or FAIL: a doubt is in capitals."""
    return "ok" if check.status == "ok" else check.status.upper()


def verdict_in_words(report: "Report") -> str:
    """What follows the verdict's one word."""
    match report.verdict:
        case "identical":
            return "every compared number is the same"
        case "noise":
            return (
                _not_judged(report)
                if report.unjudged
                else "the two differ by honest rounding alone"
                if report.replayed
                else "nothing is seen to differ by more than rounding; what was recorded does not tell more"
                if report.undecided
                else "no difference beyond what rounding may gather"
            )
        case "diverged" if report.first is not None:
            seen = f"; seen from {printable(report.first.seen_at)} on" if report.first.seen_at else ""
            return f"first {_place(report.first)}{seen}"
        case _:
            return "a NaN or an infinity is on one side alone"


def _not_judged(report: "Report") -> str:
    if report.replayed:
        return f"nothing is seen to differ by more than rounding; {len(report.unjudged)} places cannot be judged"
    return (
        f"from {printable(report.unjudged[0])} on quantized weights may be all that differs, and may hide a bug: "
        "nothing was replayed"
    )


def _place(first: "Place") -> str:
    """The module, or the ends of a span of which the candidate shows nothing more."""
    if first.uncaptured:
        return f"between {printable(first.span[0]) or 'the inputs'} and {printable(first.span[1])}"
    return f"at {module_name(first.module)}, tap {printable(first.tap)}"


def is_repeated(check: "TrustCheck", report: "Report") -> bool:
    """Whether alignment's remark on a weight is what the audit says too, of the same module."""
    words = check.message.replace(";", " ").replace(",", " ").split()
    modules = {name.rpartition(".")[0] for finding in report.weights if finding.suspicious for name in finding.weights}
    return check.check == "weights" and not modules.isdisjoint(words)


def neighbourhood(report: "Report") -> tuple[range, int] | None:
    """The taps around the first divergence, and which of them it is: numbers in `report.taps`. None where nothing
    diverges."""
    if report.first is None:
        return None
    names = [(tap.step, tap.reference) for tap in report.taps]
    place = (report.first.step, report.first.tap)
    if place not in names:  # a step of a sequence, whose taps are listed once for all its steps
        place = next((name for name in names if name[1] == report.first.tap), place)
    if place not in names:  # a saved report of another hand
        return None
    at = names.index(place)
    return range(max(0, at - CONTEXT), min(at + CONTEXT + 1, len(names))), at


def place_of(finding: "Finding") -> str:
    """The module; of a span that nothing explains, the first and the last of the modules that it runs through."""
    if finding.cause != "unknown" or not finding.uncaptured:
        return module_name(finding.module)
    inside = [tap.rpartition(":")[0].partition("@")[0].rstrip(".") for tap in (*finding.uncaptured, finding.span[1])]
    outer = [one for one in inside if not any(one != other and f"{one}.".startswith(f"{other}.") for other in inside)]
    ends = dict.fromkeys((outer[0], outer[-1]))
    return " to ".join(map(module_name, ends))


def hidden(finding: "Finding", report: "Report") -> str:
    """`between A and B; not captured in the candidate: ...`: a span longer than it need be. Names as in the dump."""
    few = ", ".join(finding.uncaptured[:NAMED])
    more = f" and {len(finding.uncaptured) - NAMED} more" if len(finding.uncaptured) > NAMED else ""
    what = "without a counterpart" if report.candidate_only else "not captured"
    place = f"between {finding.span[0] or 'the inputs'} and {finding.span[1]}; "
    return f"{'' if finding.cause == 'unknown' else place}{what} in the candidate: {few}{more}"


def evidence(finding: "Finding") -> str:
    """Why its cause is believed; "" where it was not planted."""
    if finding.error_after is None:
        return ""
    falls = f"its error of {number(finding.error_before)} falls to {number(finding.error_after)}"
    told = f"{falls} once that is planted into the reference"
    if finding.share is not None:
        told += f", and {percent(finding.share)} of the output's error goes with it"
    return told


def explained(report: "Report") -> str:
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


def output_in_words(shown: "OutputComparison | None") -> str:
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


def unpaired(count: int, side: str) -> str:
    """`4 reference taps have no counterpart`."""
    return f"{count} {side} {'tap has' if count == 1 else 'taps have'} no counterpart"


def error_of(tap: "TapComparison") -> str:
    """ "" where the two dumps tell none, which is no NaN of the tensors."""
    return "" if tap.seen == "nothing" else number(tap.rel_l2)


def times_the_floor(ratio: float | None) -> str:
    """`0.3`, `602,579`, `4.8e+10`."""
    if ratio is None:
        return ""
    if ratio >= HUGE:
        return f"{ratio:.1e}"
    return f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}"


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
