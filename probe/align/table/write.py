"""A mapping table as text: rows with a comment why each is believed, questions, and what has no counterpart."""

from collections.abc import Iterable, Iterator

from probe.align.match import SURE
from probe.align.table.fold import folded
from probe.align.table.proposal import Proposal
from probe.align.table.siblings import joined
from probe.tap import Tap, template

WHY = {
    "name": "equal names and kinds of modules",
    "root": "the models themselves",
    "order": "the only place left between neighbours that are known, of these shapes",
    "same weights inside": "holds the same weights",
    "weights of the other layers": "the other layers' weights lie there, this one's own do not",
}
"""In words, what a match's reason means."""


def proposed(rows: list[Proposal], taps: list[Tap]) -> list[Proposal]:
    """Folded into templates and alternatives; `taps` are all of the reference's."""
    names = dict.fromkeys(tap.module for tap in taps) | dict.fromkeys(f"{tap.module}:{tap.port}" for tap in taps)
    return joined(folded(rows, names))


def is_asked(one: Proposal) -> bool:
    return one.confidence < SURE


def head(reference: object, candidate: object) -> str:
    lines = [
        f"# {comment(f'{reference} -> {candidate}')}: the mapping table that probe map inferred.",
        "# Its rows come before what is inferred: edit them. {i} is a number, {q,k} one of these, [0:64] channels.",
        "# 'probe map --check' holds it against two dumps, --edit adds what it lacks, --help tells the whole language.",
    ]
    return "\n".join(lines) + "\n"


def rows_text(rows: Iterable[Proposal]) -> str:
    """Rows that are believed, a blank line before each; then those that are asked, commented out."""
    rows = list(rows)
    sure = [f"\n# {comment(why(one))}\n{toml(one)}" for one in rows if not is_asked(one)]
    asked = [_question(one) for one in rows if is_asked(one)]
    if asked:
        asked.insert(0, "\n# ---- asked: for each, take the '# ' away if the answer is yes\n")
    return "".join([*sure, *asked])


def _question(one: Proposal) -> str:
    row = one.row
    question = f"Is {row.reference} the same as {' + '.join(row.candidates)}? Believed because: {why(one)}"
    return f"\n# {comment(question)}\n" + "".join(f"# {line}\n" for line in toml(one).splitlines())


def why(one: Proposal) -> str:
    """`weights: 1,024 of 1,024 rows agree in 4 places; sure 1.00`."""
    reasons = [WHY.get(reason, reason) for reason in one.reasons]
    if not one.row.firm:
        reasons.append("perhaps tapped at another point, so it is not judged")
    if one.total:
        reasons.append(f"{one.agreeing:,} of {one.total:,} weight rows agree")
    many = f", {one.num_folded} places" if one.num_folded > 1 else ""
    return f"{'; '.join(reasons)}{many}; sure {one.confidence:.2f}"


def toml(one: Proposal) -> str:
    row = one.row
    candidates = ", ".join(quoted(text) for text in row.candidates)
    candidates = candidates if len(row.candidates) == 1 else f"[{candidates}]"
    lines = ["[[pair]]", f"reference = {quoted(row.reference)}", f"candidate = {candidates}"]
    if row.layout is not None:
        lines.append(f"layout = {quoted(row.layout)}")
    if not row.firm:
        lines.append("firm = false")
    return "\n".join(lines) + "\n"


def unmatched_text(reference_only: Iterable[Tap], candidate_only: Iterable[Tap]) -> str:
    """Both lists, as comments."""
    lines: list[str] = []
    for title, taps in (("reference", list(reference_only)), ("candidate", list(candidate_only))):
        lines.append(f"\n# {title} only: {len(taps)} tap{'' if len(taps) == 1 else 's'} without a counterpart\n")
        lines += [f"#   {comment(line)}\n" for line in _listed(taps)]
    return "".join(lines)


def _listed(taps: list[Tap]) -> Iterator[str]:
    """Names with {i} for what repeats, and how often it does."""
    counts: dict[str, int] = {}
    for tap in taps:
        name = f"{template(tap.module)[0]}:{tap.port}"
        counts[name] = counts.get(name, 0) + 1
    for name, count in counts.items():
        yield f"{name}   ({count})" if count > 1 else name


def quoted(text: str) -> str:
    """A TOML basic string, whatever the text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def comment(text: str) -> str:
    """On one line, without control characters: a comment in TOML may hold none."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
