"""Rows that repeat through layers and experts, folded into templates: model.layers.{i}.mlp.experts.{j}."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from probe.align.match import SURE
from probe.align.table.proposal import Proposal

_COUNTED = re.compile(r"(?:^|(?<=[._]))[0-9]+(?=[._:]|$)")
"""Numbers of the reference that count something: `layers.3`, `layers_3`; not `conv2d`, nor a port's."""
_NUMBER = re.compile(r"[0-9]+")
_LETTERS = "ijklmnopqrstuvwxyz"
Indices = tuple[int, ...]


def folded(rows: list[Proposal], names: Iterable[str]) -> list[Proposal]:
    """`rows` in their order, with templates wherever one row says the same of every one of the reference's `names`
    (modules, and taps without calls) that it would match; or of most of them, where the others have rows of their own,
    which are more specific."""
    everything: dict[str, set[Indices]] = defaultdict(set)
    for name in names:
        skeleton, indices = _skeleton(name)
        everything[skeleton].add(indices)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, one in enumerate(rows):
        row = one.row
        alike = tuple(_candidate_skeleton(text)[0] for text in row.candidates)
        groups[_skeleton(row.reference)[0], alike, row.layout, row.firm, one.confidence < SURE].append(at)
    spoken: dict[str, set[Indices]] = defaultdict(set)
    for one in rows:
        skeleton, indices = _skeleton(one.row.reference)
        spoken[skeleton].add(indices)
    found: list[tuple[int, Proposal]] = []
    for members in groups.values():
        skeleton, _ = _skeleton(rows[members[0]].row.reference)
        most = 2 * len(members) > len(everything[skeleton])
        exceptions = spoken[skeleton] if most else set()
        found += _fold([(at, rows[at]) for at in members], everything[skeleton], exceptions)
    return [one for _, one in sorted(found, key=lambda item: item[0])]


def _fold(
    members: list[tuple[int, Proposal]], everything: set[Indices], exceptions: set[Indices]
) -> Iterator[tuple[int, Proposal]]:
    """One row for all of `members`, or several where they do not follow one rule; `exceptions` have other rows."""
    indices = [_skeleton(one.row.reference)[1] for _, one in members]
    varying = [position for position, values in enumerate(zip(*indices, strict=True)) if len(set(values)) > 1]
    if len(members) == 1 or not varying:
        yield from members
        return
    fixed = [(position, value) for position, value in enumerate(indices[0]) if position not in varying]
    meant = {other for other in everything if all(other[at] == value for at, value in fixed)}
    complete = meant <= {*indices, *exceptions}
    texts = _candidate_templates([one for _, one in members], indices, varying) if complete else None
    if texts is not None and len(varying) <= len(_LETTERS):
        first = members[0][1]
        reference = _filled(first.row.reference, _COUNTED, _letters(indices[0], varying))
        yield members[0][0], together([one for _, one in members], reference, texts)
        return
    split = min(varying, key=lambda position: len({values[position] for values in indices}))
    parts: dict[int, list[tuple[int, Proposal]]] = defaultdict(list)
    for values, member in zip(indices, members, strict=True):
        parts[values[split]].append(member)
    for part in parts.values():
        yield from _fold(part, everything, set())


def together(rows: list[Proposal], reference: str, candidates: tuple[str, ...]) -> Proposal:
    """One row that stands for all of `rows`."""
    return Proposal(
        replace(rows[0].row, reference=reference, candidates=candidates),
        tuple(dict.fromkeys(reason for one in rows for reason in one.reasons)),
        min(one.confidence for one in rows),
        sum(one.agreeing for one in rows),
        sum(one.total for one in rows),
        sum(one.num_folded for one in rows),
    )


def _candidate_templates(rows: list[Proposal], indices: list[Indices], varying: list[int]) -> tuple[str, ...] | None:
    """The candidates, a letter for each number that follows one of the reference's; None where one follows none."""
    texts = []
    for which, text in enumerate(rows[0].row.candidates):
        numbers = [_candidate_skeleton(one.row.candidates[which])[1] for one in rows]
        written: list[str] = []
        for values in zip(*numbers, strict=True):
            shown = str(values[0]) if len(set(values)) == 1 else _followed(values, indices, varying)
            if shown is None:
                return None
            written.append(shown)
        name, bracket, ranges = text.partition("[")
        texts.append(_filled(name, _NUMBER, written) + bracket + ranges)
    return tuple(texts)


def _followed(values: Indices, indices: list[Indices], varying: list[int]) -> str | None:
    for letter, position in zip(_LETTERS, varying, strict=False):
        shifts = {value - own[position] for value, own in zip(values, indices, strict=True)}
        if len(shifts) == 1:
            shift = shifts.pop()
            return f"{{{letter}{shift:+d}}}" if shift else f"{{{letter}}}"
    return None


def _letters(indices: Indices, varying: list[int]) -> list[str]:
    names = dict(zip(varying, _LETTERS, strict=False))
    return [f"{{{names[position]}}}" if position in names else str(value) for position, value in enumerate(indices)]


def _filled(text: str, numbers: re.Pattern[str], written: list[str]) -> str:
    parts = iter(written)
    return numbers.sub(lambda found: next(parts), text)


def _skeleton(name: str) -> tuple[str, Indices]:
    module, colon, port = name.partition(":")
    return _COUNTED.sub("#", module) + colon + port, tuple(map(int, _COUNTED.findall(module)))


def _candidate_skeleton(text: str) -> tuple[str, Indices]:
    """Numbers of channels are part of the skeleton: they repeat from layer to layer."""
    name, bracket, ranges = text.partition("[")
    return _NUMBER.sub("#", name) + bracket + ranges, tuple(map(int, _NUMBER.findall(name)))
