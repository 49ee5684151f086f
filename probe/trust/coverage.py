"""What this input cannot show, told below a verdict: each thing with a command that would show it."""

import shlex
from collections.abc import Iterator

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.trust.gap import Gap, Rule, shown
from probe.trust.gaps import decode, experts, padding, softcap, vocabulary
from probe.trust.lengths import rope_scaling, window

RULES: tuple[Rule, ...] = (window, rope_scaling, softcap, experts, padding, decode, vocabulary)

MOST_LINES = 6
LINE = 94
"""Characters of a note's line, about: words are not broken."""
ALIKE = 4
"""Prompts whose lengths differ by less are asked for together."""


def cannot_show(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """No reason to doubt what was compared, so all of them are ok; six lines in all."""
    seen = shown(reference, candidate, mapping)
    notes = _notes(reference, [gap for rule in RULES for gap in rule(seen)])
    left = sum(map(_num_lines, notes))
    for what, how in reversed(notes):  # what is last and too long is told without its command
        if left > MOST_LINES and how:
            left -= _num_lines((what, how)) - _num_lines((what, ""))
            notes[notes.index((what, how))] = (what, "")
    for what, how in notes[:MOST_LINES]:
        yield TrustCheck("coverage", Status.OK, _told((what, how)))


Note = tuple[str, str]
"""What cannot be shown, and what would show it, or ""."""


def _told(note: Note) -> str:
    return f"this input cannot show {note[0]}" + (f": {note[1]}" if note[1] else "")


def _num_lines(note: Note) -> int:
    return -(-len(_told(note)) // LINE)


def _notes(reference: Dump, gaps: list[Gap]) -> list[Note]:
    """Gaps that one command would close are one note."""
    groups: list[list[Gap]] = []
    for gap in gaps:
        home = next((group for group in groups if _together(group[0], gap)), None)
        if home:
            home.append(gap)
        else:
            groups.append([gap])
    return [(" and ".join(gap.what for gap in group), _command(reference, group) or "") for group in groups]


def _together(one: Gap, other: Gap) -> bool:
    if one.num_tokens and other.num_tokens:
        return max(one.num_tokens, other.num_tokens) < ALIKE * min(one.num_tokens, other.num_tokens)
    return one.words is not None and one.words == other.words


def _command(reference: Dump, group: list[Gap]) -> str | None:
    """What to run instead; in words where the dump does not say how its model is run."""
    target = _target(reference)
    counts = [gap.num_tokens for gap in group if gap.num_tokens]
    words = group[0].words
    if words and ("--prompt" in words or "--decode" in words) and not target.lstrip("'").startswith("hf:"):
        words = None  # only an hf: target has a tokenizer, and for sure a cache
    if counts:
        words = f"--random-tokens {max(counts)}"
    if words and target:
        words = words.replace("{reference}", shlex.quote(str(reference.path)))
        return f"probe dump {target} {words} -o other.h5"
    return f"feed it {max(counts):,} tokens" if counts else group[0].otherwise


def _target(reference: Dump) -> str:
    """`hf:DIR`, `py:FILE.py:FUNCTION --arg key=value`; "" where the model was live."""
    target = reference.attribute("target")
    if not isinstance(target, dict) or "place" not in target:
        return ""
    arguments = target.get("arguments")
    pairs = arguments.items() if isinstance(arguments, dict) else ()
    named = [word for key, value in pairs for word in ("--arg", f"{key}={value}")]
    return shlex.join([f"{target.get('kind')}:{target['place']}", *named])
