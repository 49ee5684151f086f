"""A table held against two dumps: what each row stands for, and all that is wrong with it."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from probe.align.mapping import Mapping, Pair
from probe.align.table.apply import Applied, pairs_of_table
from probe.align.table.merge import merged, same_values
from probe.align.table.rows import Problem, Table
from probe.dump import Dump


@dataclass(frozen=True, slots=True)
class RowCheck:
    row: str
    """ "pair 3 ('model.norm')"."""
    num_places: int
    """Modules, or single taps, of the reference."""
    num_taps: int
    """Paired, or skipped."""


@dataclass(frozen=True, slots=True)
class TableCheck:
    """What a table says of two dumps, without anything inferred."""

    table: str
    rows: tuple[RowCheck, ...]
    problems: tuple[Problem, ...]
    num_pairs: int
    skipped: tuple[str, ...]
    """Taps of the reference that are not to be compared."""
    reference_only: tuple[str, ...]
    """Taps that no row pairs or skips."""
    candidate_only: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As --json prints it."""
        return {
            "schema": 1,
            "table": self.table,
            "rows": [{"row": one.row, "places": one.num_places, "taps": one.num_taps} for one in self.rows],
            "problems": [{"row": p.row, "message": p.message, "hint": p.hint} for p in self.problems],
            "pairs": self.num_pairs,
            "skipped": list(self.skipped),
            "reference_only": list(self.reference_only),
            "candidate_only": list(self.candidate_only),
        }


def check(table: Table, reference: Dump, candidate: Dump) -> TableCheck:
    """All problems, not only the first."""
    applied = pairs_of_table(table, reference, candidate)
    mapping = merged(applied, Mapping((), (), ()), reference, candidate)
    by_row = Counter(applied.governed[key] for key in [*applied.pairs, *applied.skipped] if key in applied.governed)
    return TableCheck(
        table.name,
        tuple(RowCheck(str(row), applied.num_places.get(str(row), 0), by_row[str(row)]) for row in table.rows),
        (*applied.problems, *_paired_twice(applied)),
        len(mapping.pairs),
        tuple(one.tap.name for one in mapping.skipped),
        tuple(tap.name for tap in mapping.reference_only),
        tuple(tap.name for tap in mapping.candidate_only),
    )


def _paired_twice(applied: Applied) -> list[Problem]:
    """Channels of a candidate tap that stand for two outputs of the reference with unequal values."""
    ranges: dict[tuple[int, str, int | None], list[tuple[int, int, Pair]]] = defaultdict(list)
    for pair in applied.pairs.values():
        for source in pair.sources if not pair.reference.is_input else ():
            width = source.tap.num_elements
            cuts = source.columns or ((0, width),)
            ranges[source.tap.step, source.tap.name, source.block] += [(start, stop, pair) for start, stop in cuts]
    problems: dict[tuple[str, str], Problem] = {}
    for (_, name, _), cuts_of_tap in ranges.items():
        last: tuple[int, int, Pair] | None = None
        for cut in sorted(cuts_of_tap, key=lambda one: one[:2]):
            if last and cut[0] < last[1] and not same_values(cut[2].reference, last[2].reference):
                rows = [_row(applied, one[2]) for one in (last, cut)]
                problems.setdefault((rows[0], rows[1]), _twice(name, last[2], cut[2], rows))
            last = cut if last is None or cut[1] > last[1] else last
    return list(problems.values())


def _row(applied: Applied, pair: Pair) -> str:
    return applied.governed.get((pair.reference.step, pair.reference.name), "")


def _twice(name: str, one: Pair, other: Pair, rows: list[str]) -> Problem:
    message = f"{name} is paired with {other.reference.name}, and by {rows[0]} with {one.reference.name}"
    return Problem(rows[1], message, "leave one of the two rows away, or cut channels out of each: candidate[0:64]")
