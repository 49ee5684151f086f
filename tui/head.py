"""The answer, at the top: the verdict, the first cause in words, and what makes one doubt."""

from rich.text import Text

from probe.printable import printable
from probe.report import Report, Status, Verdict
from probe.words import module_name, percent

STYLES = {Verdict.IDENTICAL: "bold green", Verdict.NOISE: "bold green", Verdict.DIVERGED: "bold white on red"}
WORDS = {
    Verdict.IDENTICAL: "every compared number is the same",
    Verdict.NOISE: "nothing is seen to differ by more than rounding",
    Verdict.DIVERGED: "a NaN or an infinity is on one side alone",
}


def headline(report: Report) -> Text:
    """One line for the verdict, one for each doubt (the first, and how many more)."""
    style = "bold black on yellow" if report.undecided else STYLES[report.verdict]
    line = Text.assemble((f" {report.verdict.upper()} ", style), " ")
    guilty = [finding for finding in report.findings if not finding.is_honest]
    if guilty:
        first = guilty[0]
        line.append(f"{first.cause} at {module_name(first.module)}", "bold")
        more = [f"{len(guilty) - 1} more" if len(guilty) > 1 else ""]
        more.append(f"together {percent(report.explained)} of the error" if report.explained is not None else "")
        told = "; ".join(part for part in more if part)
        line.append(f"   ({told})" if told else "")
    elif report.first is not None:
        line.append(f"first at {module_name(report.first.module)}", "bold")
    elif report.undecided:
        line.append("nothing is seen to differ by more than rounding; what was recorded does not tell more")
    else:
        line.append(WORDS[report.verdict])
    doubts = [check for check in report.trust if check.status is not Status.OK]
    if doubts:
        more_doubts = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
        line.append(f"\n {doubts[0].status.upper()}: {printable(doubts[0].message)}{more_doubts}", "yellow")
    if not report.replayed:
        line.append("\n nothing was replayed: places are approximate", "yellow")
    return line


def subject(reference: str, candidate: str | None) -> str:
    """Which files."""
    return printable(f"{reference}  ->  {candidate}" if candidate else reference)
