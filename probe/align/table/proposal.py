"""What inference found, as rows of a table: one a module, and one a tap where a module's row would not say it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from probe.align.mapping import Layout, Mapping, Pair, Source
from probe.align.modules import Match
from probe.align.table.apply import pairs_of_table
from probe.align.table.explicit import UNPADDED
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
            row = _tap_row(pair, len(found) + 1)
            if row:
                found.append(Proposal(row, _reasons(pair), _confidence(pair, matches)))
    first = {name: index for index, name in reversed([*enumerate(tap.module for tap in reference.taps)])}
    return sorted(found, key=lambda one: first[one.row.reference.partition(":")[0]])


def same_pair(one: Pair, other: Pair) -> bool:
    """Whether two pairs compare the same numbers in the same way; a slice of everything is no slice."""
    return _values(one) == _values(other)


def _values(pair: Pair) -> tuple[object, ...]:
    layout = pair.layout
    kept = (layout.pattern, layout.unpadded, layout.scale, layout.offset, pair.firm)
    return (*kept, *((source.tap.name, _cut(source)) for source in pair.sources))


def _cut(source: Source) -> tuple[tuple[int, int], ...] | None:
    shape = source.tap.shape
    return None if shape and source.columns == ((0, shape[-1]),) else source.columns


def _reasons(pair: Pair) -> tuple[str, ...]:
    """Without the names of single taps, so that the layers of a model have the same ones."""
    reason, also, _ = pair.reason.partition(f", {DERIVED[0]}")
    return (reason, SAME_TENSOR) if also else (reason,)


def _is_derived(pair: Pair) -> bool:
    return pair.reason.startswith(DERIVED)


def _module_rows(matches: dict[str, Match], pairs: list[Pair], reference: Dump) -> Iterator[Proposal]:
    mains: dict[tuple[int, str, int], Tap] = {}
    for tap in reference.taps:
        if not tap.is_input:
            mains.setdefault((tap.step, tap.module, tap.call), tap)
    firm: dict[str, set[bool]] = defaultdict(set)
    for pair in pairs:
        firm[pair.reference.module].add(pair.firm)
    known: set[str] = set()
    for pair in pairs:
        tap = pair.reference
        match = matches.get(tap.module)
        is_main = tap is mains.get((tap.step, tap.module, tap.call))
        if match is None or not is_main or tap.module in known or tap.call or not _writable(pair):
            continue
        if {part.module for part in match.parts} != {source.tap.module for source in pair.sources}:
            continue
        if len(firm[tap.module]) > 1:
            continue  # one of its taps is better known than another
        known.add(tap.module)
        candidates = tuple(source.tap.module + _ranges(source) for source in pair.sources)
        row = Row("pair", len(known), tap.module, candidates, _written_layout(pair.layout), firm=pair.firm)
        yield Proposal(row, _reasons(pair), _confidence(pair, matches))


def _tap_row(pair: Pair, number: int) -> Row | None:
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
    cut = _cut(source)
    return "" if cut is None else f"[{','.join(f'{start}:{stop}' for start, stop in cut)}]"


def _written_layout(layout: Layout) -> str | None:
    """Only what must be said: shapes tell most layouts, and unpadded ones."""
    return UNPADDED if layout.unpadded else layout.pattern


FALLBACK = {"order": 0.6, "same weights inside": 0.8, "weights of the other layers": 0.9}
"""By reason, where a match does not say how sure it is; all others are 1."""


def _confidence(pair: Pair, matches: dict[str, Match]) -> float:
    match = matches.get(pair.reference.module)
    sure = getattr(match, "confidence", None)
    return float(sure) if sure is not None else FALLBACK.get(pair.reason, 1.0)
