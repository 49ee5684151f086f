"""What a table says of two dumps: the pairs that its rows make, the taps that they skip, and what is wrong."""

from dataclasses import dataclass, field

from probe.align.mapping import Mapping, Pair, Skipped
from probe.align.match import Match
from probe.align.pairs import pair_taps
from probe.align.part import Part
from probe.align.table.claims import Claim, Claims
from probe.align.table.explicit import Fitting
from probe.align.table.rows import Problem, Table
from probe.align.table.sides import Side
from probe.align.table.sizes import Sizes
from probe.dump import Dump
from probe.tap import Tap

Key = tuple[int, str]
"""A tap's step and name."""


@dataclass(slots=True)
class Applied:
    """What a table says of two dumps."""

    pairs: dict[Key, Pair] = field(default_factory=dict)
    skipped: dict[Key, Skipped] = field(default_factory=dict)
    governed: dict[Key, str] = field(default_factory=dict)
    """The row that speaks for a tap of the reference, whether it is paired or not."""
    problems: list[Problem] = field(default_factory=list)
    num_places: dict[str, int] = field(default_factory=dict)
    """By row: modules, or taps, of the reference that it stands for."""


def pairs_of_table(table: Table, reference: Dump, candidate: Dump) -> Applied:
    """The pairs of the table's rows alone; nothing is inferred but layouts and ports."""
    ours, theirs = Side(reference), Side(candidate)
    claims = Claims(table, ours, theirs)
    applied = Applied(problems=[*table.problems, *claims.problems], num_places=dict(claims.num_of_row))
    fitting = Fitting(ours, theirs)
    config = reference.attribute("config")
    sizes = {str(row): Sizes({**table.sizes, **row.sizes}, config) for row in table.rows}
    matches: dict[str, Match] = {}
    for claim in sorted(claims.by_key.values(), key=_precedence):
        taps = _taps_of(claim, ours)
        keys = [(tap.step, tap.name) for tap in taps]
        applied.governed |= dict.fromkeys(keys, str(claim.row))
        for key in keys:
            applied.pairs.pop(key, None)
            applied.skipped.pop(key, None)
        if claim.row.kind == "skip":
            applied.skipped |= {key: Skipped(tap, claim.row.reason) for key, tap in zip(keys, taps, strict=True)}
            continue
        whole = claim.port is None
        mains = [tap for tap in taps if tap is ours.main_output.get((tap.step, tap.module, tap.call))]
        found = []
        try:
            for tap in mains if whole else taps:
                port = None if whole else claim.port
                pair = fitting.pair(tap, list(claim.places), claim.row, sizes[str(claim.row)], port)
                found += [pair] if pair else []
            if not found and (mains or not whole):
                what = "no output" if whole else f"no {claim.port!r}"
                raise ValueError(f"{claim.module!r} has {what} that also {_written(claim)} has")
        except ValueError as error:
            hint = "layout, sizes, channels [0:64] and a tap's own row bring shapes together: probe map --help"
            applied.problems.append(claim.row.problem(f"{claim.module!r}: {error}", hint))
            continue
        applied.pairs |= {(pair.reference.step, pair.reference.name): pair for pair in found}
        if whole and all(where.port is None and where.call is None for where in claim.places):
            matches[claim.module] = Match(tuple(Part(where.module) for where in claim.places), "table", claim.row.firm)
    _add_other_ports(applied, pair_taps(reference, candidate, matches))
    return applied


def _add_other_ports(applied: Applied, of_modules: Mapping) -> None:
    """Inputs, and further outputs, of modules that are paired whole."""
    for pair in of_modules.pairs:
        key = (pair.reference.step, pair.reference.name)
        if key in applied.governed and key not in applied.pairs and key not in applied.skipped:
            applied.pairs[key] = pair


def _precedence(claim: Claim) -> tuple[bool, bool]:
    """Modules first, so that single taps come over them."""
    return claim.port is not None, claim.call is not None


def _taps_of(claim: Claim, side: Side) -> list[Tap]:
    taps = side.of_module[claim.module]
    return [tap for tap in taps if claim.port in (None, tap.port) and claim.call in (None, tap.call)]


def _written(claim: Claim) -> str:
    return " + ".join(where.module for where in claim.places)
