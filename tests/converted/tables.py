"""Outcomes as tables: of honest conversions a row a type, of bugs a row a bug and a row a type; and what was missed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from tests.converted.sweep import Outcome

MARKS = ("ok", "unknown", "place", "missed", "wrong", "trouble")


def print_tables(outcomes: list[Outcome], console: Console) -> None:
    clean, bugs = [one for one in outcomes if not one.pair.plant], [one for one in outcomes if one.pair.plant]
    if clean:
        console.print(_clean(clean))
    for title, key in (("bugs", lambda one: one.pair.plant), ("bugs, by type", lambda one: one.pair.kind)):
        if bugs:
            console.print(_bugs(bugs, title, key))
    for one in outcomes:
        if one.mark != "ok":
            console.print(line(one), highlight=False, markup=False, soft_wrap=True)


def _clean(outcomes: list[Outcome]) -> Table:
    """How many of the pairs are not blamed; the least SQNR that was told, and what it is."""
    models = list(dict.fromkeys(one.pair.model for one in outcomes))
    table = Table("type", *models, "least SQNR told", "in the file", box=None, title="honest conversions not blamed")
    for kind, group in _grouped(outcomes, lambda one: one.pair.kind):
        cells = []
        for model in models:
            alike = [one for one in group if one.pair.model == model]
            cells.append(f"{sum(one.mark == 'ok' for one in alike)}/{len(alike)}" if alike else "-")
        table.add_row(kind, *cells, _db(one.told_db for one in group), _db(one.true_db for one in group))
    return table


def _db(found: Iterable[float | None]) -> str:
    known = [one for one in found if one is not None]
    return f"{min(known):.1f} to {max(known):.1f} dB" if known else "-"


def _bugs(outcomes: list[Outcome], title: str, key: Callable[[Outcome], str]) -> Table:
    table = Table("", "pairs", "place", "cause", *MARKS[1:], "proved", "median s", box=None, title=title)
    for name, group in _grouped(outcomes, key):
        marks = Counter(one.mark for one in group)
        seconds = sorted(one.seconds for one in group)
        proved = sum((one.explained or 0) > 0.99 for one in group if one.named)
        table.add_row(
            name,
            str(len(group)),
            str(sum(one.place for one in group)),
            str(sum(one.named for one in group)),
            *(str(marks[mark]) for mark in MARKS[1:]),
            str(proved),
            f"{seconds[len(seconds) // 2]:.1f}",
        )
    return table


def line(one: Outcome) -> str:
    said = one.trouble or "; ".join([*one.said, *(word for word in one.wrong if word not in one.said)]) or one.verdict
    return f"{one.mark:8}{one.pair.name}: {said} ({one.seconds:.1f} s)"


def _grouped(outcomes: list[Outcome], key: Callable[[Outcome], str]) -> Iterable[tuple[str, list[Outcome]]]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[key(one)].append(one)
    return groups.items()
