"""A comparison as a short text for an issue: Markdown as GitHub has it, in which no name of a dump does anything."""

import re
from collections.abc import Sequence
from pathlib import Path

from probe.printable import printable
from probe.render.runs import Run, Setting, side_by_side
from probe.report import Report, Status
from probe.words import evidence, explained, hidden, is_repeated, number, place_of, verdict_in_words

NOTHING = "&#8203;"
"""A space without width: what stands between `@` and a name mentions nobody."""
LONGEST = 120
"""Characters of a name."""
FINDINGS, DOUBTS, SETTINGS = 5, 3, 6
"""Of each, how many are told."""
BRIEF = ("model", "dtype", "device", "attention", "kept", "versions.torch", "versions.transformers")
"""Settings that are told even where they are the same."""
COLUMNS = ("Relative error", "KL", "Argmax match", "Top-10")


def markdown(report: Report, reference: Run, candidate: Run, commands: Sequence[str]) -> str:
    """Under some 40 lines. `commands` compare the two again."""
    parts = [
        [f"**FAIL**: {plain(one.message)}" for one in report.trust if one.status is Status.FAIL][:DOUBTS],
        [f"**{report.verdict.upper()}**: {plain(verdict_in_words(report))}"],
        _table(report, candidate),
        ["**Findings**", *lines] if (lines := _findings(report)) else [],
        ["**Trust**", *_doubts(report)],
        ["**Environment**", *_environment(reference, candidate)],
        ["**To reproduce**", *_reproduce(reference, candidate, [*commands, *report.next_commands])],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Text that stays text: no emphasis, link, HTML, cell, mention (`@name`), issue (`#1`, `GH-1`) or address."""
    escaped = re.sub(r"([\\`*\[\]<>#|~$&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", printable(text))
    return re.sub(r"(?<=[@#])|(?<=://)|(?<=\bwww\.)|(?<=\bGH-)", NOTHING, escaped, flags=re.IGNORECASE)


def code(text: str) -> str:
    """A name as code, in which nothing is looked for; cut in its middle where it is very long."""
    shown = printable(text)
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST // 3]}...{shown[-LONGEST + LONGEST // 3 + 3 :]}"
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _cell(text: str) -> str:
    """Of a table: there a `|` ends even code."""
    return text.replace("|", "\\|")


def _table(report: Report, candidate: Run) -> list[str]:
    shown = report.output
    figures = ["not compared", "", "", "", ""]
    if shown is not None:
        figures = [number(shown.max_abs), number(shown.rel_l2), number(shown.kl)]
        figures += ["" if part is None else f"{part:.1%}" for part in (shown.argmax_match, shown.top10_overlap)]
    name = _cell(code(Path(candidate.path).name))
    largest = "Max Logit Diff" if shown is None or shown.kl is not None else "Max Diff"
    rows = [("Candidate", largest, *COLUMNS), (":---", *["---:"] * 5), (name, *figures)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _findings(report: Report) -> list[str]:
    lines = []
    for finding in report.findings[:FINDINGS]:
        where = code(place_of(finding)) + (f" and {len(finding.modules) - 1} more" if len(finding.modules) > 1 else "")
        told = [finding.message, hidden(finding, report) if finding.uncaptured else "", evidence(finding)]
        lines.append(f"- {where}: {code(finding.cause)}: {plain('; '.join(filter(None, told)))}")
    if len(report.findings) > FINDINGS:
        lines.append(f"- and {len(report.findings) - FINDINGS} more")
    if together := explained(report):
        lines.append(f"- {plain(together)}")
    return lines


def _doubts(report: Report) -> list[str]:
    """What is to be known before the verdict is believed."""
    found = [one.message for one in report.trust if one.status is Status.WARN and not is_repeated(one, report)]
    found += [f"{one.kind}: {one.message}" for one in report.weights if one.suspicious]
    more = [f"and {len(found) - DOUBTS} more"] if len(found) > DOUBTS else []
    counts = f"{len(report.reference_only):,} of the reference and {len(report.candidate_only):,} of the candidate"
    coverage = f"{len(report.taps):,} pairs of taps were compared; {counts} have no counterpart"
    return [f"- {plain(one)}" for one in (*found[:DOUBTS], *more, coverage)]


def _environment(reference: Run, candidate: Run) -> list[str]:
    lines = [f"- {code(run.path)}: {plain(run.missing)}" for run in (reference, candidate) if run.missing]
    settings = side_by_side(reference, candidate)
    differing = [one for one in settings if one.differs and one.name != "holds"]
    told = [*differing, *(one for one in settings if one.name in BRIEF and not one.differs)][:SETTINGS]
    left = len(differing) - len(told)
    more = [f"- and {left} more differ"] if left > 0 else []
    return lines + [_setting(one) for one in settings if one in told] + more


def _setting(one: Setting) -> str:
    name = one.name.removeprefix("versions.")
    if one.reference == one.candidate:
        return f"- {plain(name)}: {code(one.reference)}"
    sides = (code(side) if side else "not told" for side in (one.reference, one.candidate))
    return f"- {plain(name)}: {' / '.join(sides)} (reference / candidate)"


def _reproduce(reference: Run, candidate: Run, commands: Sequence[str]) -> list[str]:
    """Commands that ran, then those that compare; what was recorded otherwise is said so."""
    sides = (("reference", reference), ("candidate", candidate))
    recorded = (run.command or f"# {side}: {run.recorded or run.missing}" for side, run in sides)
    lines = [printable(one) for one in dict.fromkeys((*recorded, *commands))]
    fence = "`" * max(3, 1 + max(len(run) for line in ["", *lines] for run in ["", *re.findall("`+", line)]))
    return [f"{fence}sh", *lines, fence]
