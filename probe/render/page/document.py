"""The page: what a Report and two runs tell, in the template. Every text is made printable there, and escaped."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from probe import __version__
from probe.printable import printable
from probe.render.page.picture import Picture
from probe.render.page.rows import COLUMNS, WORST, as_json, rows_of, worst
from probe.render.runs import CONFIG, Run, Setting, side_by_side
from probe.report import Finding, OutputComparison, Report, Status
from probe.words import (
    evidence,
    explained,
    hidden,
    is_repeated,
    mark,
    module_name,
    neighbourhood,
    number,
    place_of,
    verdict_in_words,
)

LISTED, LONGEST = 500, 300
"""Names of a list that are on the page, and characters of a setting."""


@dataclass(frozen=True, slots=True)
class Told:
    """A thing and what is told of it."""

    what: str
    value: str


@dataclass(frozen=True, slots=True)
class Check:
    """A doubt, or a reason to trust."""

    mark: str
    status: Status
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """How something was made, or may be."""

    what: str
    text: str
    is_command: bool = True
    """False: said in words."""


def document(
    report: Report, reference: Run, candidate: Run, pictures: Sequence[Picture], compared: Sequence["Line"]
) -> str:
    """HTML. `compared`: how this comparison came to be."""
    rows, doubts = rows_of(report), _doubts(report)
    around = neighbourhood(report)
    style, script = (files("probe.render.page").joinpath(name).read_text("utf-8") for name in ("page.css", "taps.js"))
    shown: str = _template().render(
        version=__version__,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        report=report,
        reference=reference,
        candidate=candidate,
        verdict=verdict_in_words(report),
        failures=[one for one in doubts if one.status is Status.FAIL],
        warnings=[one for one in doubts if one.status is not Status.FAIL],
        figures=_figures(report.output, len(report.taps)),
        findings=[_finding(finding, report) for finding in report.findings],
        explained=explained(report),
        around={"rows": [rows[index] for index in around[0]], "at": around[1] - around[0].start} if around else None,
        checks=[Check(mark(one), one.status, one.message) for one in report.trust],
        skipped=[f"{tap}: {reason}" for tap, reason in report.skipped],
        listed=LISTED,
        longest=LONGEST,
        pictures=pictures,
        missing=_missing(pictures),
        columns=COLUMNS,
        num_rows=len(rows),
        still={"caption": _still(len(rows), report.replayed), "rows": worst(report, rows)},
        rows=Markup(as_json(rows)),
        settings=_grouped(side_by_side(reference, candidate)),
        commands=_commands(report, reference, candidate, compared),
    )
    return shown


def _template() -> Any:
    made = Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalized, trim_blocks=True)
    return made.from_string(files("probe.render.page").joinpath("page.html").read_text("utf-8"))


def _finalized(value: Any) -> Any:
    """What a template puts out: markup of ours as it is, all else printable, so that autoescape is all it needs."""
    return value if isinstance(value, Markup) else printable(str(value))


def _policy(style: str, script: str) -> str:
    """Nothing but these two; pictures hold images in themselves."""
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    sources = f"style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def _doubts(report: Report) -> list[Check]:
    """What is to be read before the verdict is believed."""
    checks = [one for one in report.trust if one.status is not Status.OK and not is_repeated(one, report)]
    weights = [Check("WEIGHTS", Status.WARN, f"{one.kind}: {one.message}") for one in report.weights if one.suspicious]
    return [*(Check(mark(one), one.status, one.message) for one in checks), *weights]


def _figures(output: OutputComparison | None, num_pairs: int) -> list[Told]:
    told = [Told("pairs of taps", f"{num_pairs:,}")]
    if output is None:
        return [Told("output", "not compared"), *told]
    figures = [Told("output's relative error", number(output.rel_l2))]
    if output.max_abs == output.max_abs:
        figures.append(Told("largest difference", number(output.max_abs)))
    if output.argmax_match is not None and output.top10_overlap is not None:
        figures.append(Told("KL (nats)", number(output.kl)))
        figures.append(Told("same next token", f"{output.argmax_match:.1%}"))
        figures.append(Told("top ten shared", f"{output.top10_overlap:.1%}"))
    return [*figures, *told]


def _finding(finding: Finding, report: Report) -> dict[str, Any]:
    facts = []
    if finding.span[1]:
        facts.append(Told("last that agrees", finding.span[0] or "the inputs"))
        facts.append(Told("first that does not", finding.span[1]))
    if finding.seen_at:
        facts.append(Told("seen from", finding.seen_at))
    for what, value in (("reference has", finding.reference_value), ("candidate has", finding.candidate_value)):
        if value is not None:
            facts.append(Told(what, f"{value:g}" if isinstance(value, float) else str(value)))
    if finding.coefficient is not None:
        spread = f" \u00b1 {number(finding.stderr)}" if finding.stderr is not None else ""
        facts.append(Told("coefficient", f"{finding.coefficient:.2f}{spread}"))
    return {
        "place": place_of(finding),
        "cause": finding.cause,
        "is_honest": finding.is_honest,
        "message": finding.message,
        "hidden": hidden(finding, report) if finding.uncaptured else "",
        "evidence": evidence(finding),
        "facts": facts,
        "modules": [module_name(name) for name in finding.modules],
    }


def _still(num_rows: int, replayed: bool) -> str:
    """What the rows are that are printed."""
    by = "ratio to the floor" if replayed else "error"
    if num_rows <= WORST:
        return f"All {num_rows} taps, the worst by {by} first."
    return f"The {WORST} worst of {num_rows:,} taps by {by}, the worst first; {num_rows - WORST:,} are left out here."


def _grouped(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """What differs and what one side does not tell; a config of one side alone; what is the same."""
    twice = [one for one in settings if one.is_told_twice]
    once = [one for one in settings if not one.is_told_twice]
    return {
        "shown": [one for one in twice if one.differs] + [one for one in once if not one.name.startswith(CONFIG)],
        "config": [one for one in once if one.name.startswith(CONFIG)],
        "equal": [one for one in twice if not one.differs],
    }


def _commands(report: Report, reference: Run, candidate: Run, compared: Sequence[Line]) -> list[Line]:
    recorded = []
    for side, run in (("reference", reference), ("candidate", candidate)):
        text = run.command or run.recorded or f"not known: {run.missing}"
        recorded.append(Line(f"the {side} was recorded", text, bool(run.command)))
    more = [Line("to learn more", command, command.startswith("probe ")) for command in report.next_commands]
    return [*recorded, *compared, *more]


def _missing(pictures: Sequence[Picture]) -> list[Told]:
    """Titles of those that are not there, by the reason."""
    titles: dict[str, list[str]] = {}
    for picture in pictures:
        if picture.svg is None:
            titles.setdefault(picture.missing, []).append(picture.title)
    return [Told("; ".join(of_it), reason) for reason, of_it in titles.items()]
