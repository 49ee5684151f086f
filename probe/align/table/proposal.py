"""What inference found, as rows of a table: one a module, and one a tap where a module's row would not say it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from probe.align.mapping import Layout, Mapping, Pair, Source
from probe.align.match import SURE, Match
from probe.align.table.apply import pairs_of_table
from probe.align.table.explicit import UNPADDED
from probe.align.table.merge import cut, same_pair
from probe.align.table.rows import Row, Table
from probe.dump import Dump
from probe.tap import Tap

DERIVED = ("the same tensor as", "the same numbers")
"""Reasons of pairs that follow from others, or from equal bytes: they are found anew wherever a table is applied."""

SAME_TENSOR = "its tensor is that of a tap that is known"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One row, and why it is believed. Names are as in the dumps, without templates."""

    row: Row
    reasons: tuple[str, ...]
    """As the matches or pairs have them; several once rows are folded."""
    confidence: float
    """0 to 1: the least of the rows that were folded into this one."""
    agreeing: int = 0
    """Rows of the reference's weight matrices that the candidate's hold."""
    total: int = 0
    """Of so many."""
    num_folded: int = 1


def proposals(
    matches: dict[str, Match], mapping: Mapping, reference: Dump, candidate: Dump, lacking: Iterable[Tap] | None = None
) -> list[Proposal]:
    """In the reference's order. `lacking`: only for these taps; None: for all.

    Applied to the same dumps, the rows give every pair of `mapping` that does not follow from others.
    """
    wanted = None if lacking is None else {(tap.step, tap.name) for tap in lacking}
    pairs = [pair for pair in mapping.pairs if not _is_derived(pair)]
    if wanted is not None:
        pairs = [pair for pair in pairs if (pair.reference.step, pair.reference.name) in wanted]
    found = list(_module_rows(matches, pairs, reference))
    applied = pairs_of_table(Table("proposal", tuple(one.row for one in found)), reference, candidate)
    wrong = {problem.row for problem in applied.problems}
    found = [one for one in found if str(one.row) not in wrong]
    known: set[str] = set()
    for pair in pairs:
        made = applied.pairs.get((pair.reference.step, pair.reference.name))
        name = f"{pair.reference.module}:{pair.reference.port}"
        if name not in known and (made is None or not same_pair(made, pair)):
            known.add(name)
            row = tap_row(pair, len(pairs) + len(found) + 1)
            if row:
                found.append(Proposal(row, _reasons(pair), _confidence(pair, matches)))
    first = {name: index for index, name in reversed([*enumerate(tap.module for tap in reference.module_taps)])}
    return sorted(found, key=lambda one: first[one.row.reference.partition(":")[0]])


def _reasons(pair: Pair) -> tuple[str, ...]:
    """Without the names of single taps, so that the layers of a model have the same ones."""
    reason, also, _ = pair.reason.partition(f", {DERIVED[0]}")
    return (reason, SAME_TENSOR) if also else (reason,)


def _is_derived(pair: Pair) -> bool:
    return pair.reason.startswith(DERIVED)


def questions(matches: dict[str, Match]) -> list[Proposal]:
    """Rows for matches that are too unsure to be used."""
    found = []
    for number, (module, match) in enumerate(matches.items(), 1):
        if match.confidence < SURE:
            candidates = tuple(part.module + _written_ranges(part.columns, None) for part in match.parts)
            row = Row("pair", number, module, candidates, firm=match.firm)
            found.append(Proposal(row, (match.reason,), match.confidence))
    return found


def _module_rows(matches: dict[str, Match], pairs: list[Pair], reference: Dump) -> Iterator[Proposal]:
    mains: dict[tuple[int, str, int], Tap] = {}
    for tap in reference.module_taps:
        if not tap.is_input:
            mains.setdefault((tap.step, tap.module, tap.call), tap)
    known: set[str] = set()
    for pair in pairs:
        tap = pair.reference
        match = matches.get(tap.module)
        is_main = tap is mains.get((tap.step, tap.module, tap.call))
        if match is None or not is_main or tap.module in known or tap.call or not _writable(pair):
            continue
        if {part.module for part in match.parts} != {source.tap.module for source in pair.sources}:
            continue
        known.add(tap.module)
        candidates = tuple(source.tap.module + _ranges(source) for source in pair.sources)
        row = Row("pair", len(known), tap.module, candidates, _written_layout(pair.layout), firm=pair.firm)
        yield Proposal(row, _reasons(pair), _confidence(pair, matches))


def tap_row(pair: Pair, number: int) -> Row | None:
    if not _writable(pair):
        return None
    candidates = tuple(f"{source.tap.module}:{source.tap.port}{_ranges(source)}" for source in pair.sources)
    reference = f"{pair.reference.module}:{pair.reference.port}"
    return Row("pair", number, reference, candidates, _written_layout(pair.layout), firm=pair.firm)


def _writable(pair: Pair) -> bool:
    """Whether its names can stand in a table: braces, brackets and colons mean something there."""
    names = [pair.reference.module, *(source.tap.module for source in pair.sources)]
    return not any(mark in name for name in names for mark in "{}[]:")


def _ranges(source: Source) -> str:
    return _written_ranges(cut(source), source.block)


def _written_ranges(ranges: tuple[tuple[int, int], ...] | None, block: int | None) -> str:
    written = [] if ranges is None else [f"{start}:{stop}" for start, stop in ranges]
    if block is not None:
        written = [str(block), "...", *written]
    return f"[{','.join(written)}]" if written else ""


def _written_layout(layout: Layout) -> str | None:
    """Only what must be said: shapes tell most layouts, and unpadded ones."""
    return UNPADDED if layout.unpadded else layout.pattern


BY_TENSOR = 0.95
"""How sure a container's row is whose tensor is that of a tap which is known."""
BY_VALUES = 0.9
"""How sure a row is that values alone speak for."""


def _confidence(pair: Pair, matches: dict[str, Match]) -> float:
    match = matches.get(pair.reference.module)
    if match is None or not pair.reason.startswith(match.reason):
        return BY_VALUES
    return max(match.confidence, BY_TENSOR) if SAME_TENSOR in _reasons(pair) else match.confidence
