"""Outcomes as tables: of each part and dtype, of each cause, of the peers' rules; and what was missed."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.zoo.judge import Outcome
from tests.zoo.misses import counts, misses

PROVED = 0.99
"""Of an fp32 candidate's output error, what the right findings must explain."""


def print_tables(outcomes: list[Outcome], console: Console) -> None:
    console.print(_parts(outcomes))
    console.print(_causes([one for one in outcomes if len(one.causes) == 1]))
    console.print(_benign([one for one in outcomes if not one.causes]))
    console.print(_peers(outcomes))
    for line in misses(outcomes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _parts(outcomes: list[Outcome]) -> Table:
    columns = (
        "part",
        "dtype",
        "kind",
        "pairs",
        "weak",
        "place",
        "cause",
        "all bugs",
        "proved",
        "wrong",
        "stray",
        "blamed",
        "ratio",
    )
    table = Table(*columns, "median s", "max s", box=None, title="the zoo")
    for (part, dtype, kind), group in _grouped(outcomes, lambda one: (one.part, one.dtype, kind_of(one))):
        strong = [one for one in group if counts(one)]
        bugs = [bug for one in strong for bug in one.named]
        seconds = [one.seconds for one in group]
        planted = kind != "benign"
        table.add_row(
            part,
            dtype,
            kind,
            str(len(group)),
            str(len(group) - len(strong)),
            share(one.place for one in strong) if planted else "",
            share(bugs) if planted else "",
            share(bool(one.named) and all(one.named) for one in strong) if planted else "",
            share((one.explained or 0.0) > PROVED for one in strong if one.dtype == "fp32" and all(one.named))
            if planted
            else "",
            str(sum(len(one.wrong) for one in group)),
            str(sum(len(one.stray) for one in group)),
            str(sum(one.blamed for one in group)) if not planted else "",
            f"{max(one.ratio for one in group):.3g}" if not planted else "",
            f"{statistics.median(seconds):.2f}",
            f"{max(seconds):.2f}",
        )
    return table


def _benign(outcomes: list[Outcome]) -> Table:
    """What kind of honest difference was blamed, and the largest ratio it reached."""
    table = Table("benign difference", "pairs", "blamed", "ratio", box=None, title="benign")
    for name, group in _grouped(outcomes, lambda one: one.name.partition(" [")[0]):
        largest = f"{max(one.ratio for one in group):.3g}"
        table.add_row(name, str(len(group)), str(sum(one.blamed for one in group)), largest)
    return table


def _causes(outcomes: list[Outcome]) -> Table:
    table = Table("cause", "pairs", "weak", "place", "cause named", "wrong names", box=None, title="by cause")
    for cause, group in _grouped(outcomes, lambda one: one.causes[0]):
        strong = [one for one in group if counts(one)]
        wrong = str(sum(len(one.wrong) for one in group))
        weak = str(len(group) - len(strong))
        table.add_row(
            cause,
            str(len(group)),
            weak,
            share(o.place for o in strong),
            share(bool(o.named) and all(o.named) for o in strong),
            wrong,
        )
    return table


def _peers(outcomes: list[Outcome]) -> Table:
    rules = next((list(one.peers) for one in outcomes if one.peers), [])
    dtypes = sorted({one.dtype for one in outcomes})
    columns = [f"{dtype}: {what}" for dtype in dtypes for what in ("place", "benign blamed")]
    table = Table("rule", *columns, box=None, title="peers: first module blamed")
    for rule in ("probe", *rules):
        cells = []
        for dtype in dtypes:
            group = [one for one in outcomes if one.dtype == dtype and (one.peers or rule == "probe")]
            planted, benign = [o for o in group if len(o.causes) == 1], [o for o in group if not o.causes]
            cells.append(share(o.place if rule == "probe" else o.peers[rule] for o in planted))
            cells.append(share(o.blamed if rule == "probe" else o.peers[rule] for o in benign))
        table.add_row(rule, *cells)
    return table


def kind_of(one: Outcome) -> str:
    if not one.causes:
        return "benign"
    if len(one.causes) > 1:
        return "several"
    return "plain ref" if "plain reference" in one.name else "planted"


def share(flags: Iterable[bool]) -> str:
    flags = list(flags)
    return f"{sum(flags)}/{len(flags)}" if flags else "-"


def _grouped(outcomes: list[Outcome], key: Callable[[Outcome], Any]) -> Iterable[tuple[Any, list[Outcome]]]:
    groups: dict[Any, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[key(one)].append(one)
    return groups.items()
