"""Rows of sibling modules written as one: self_attn.{q,k,v}_proj beside attention.{query,key,value}."""

from collections import defaultdict
from dataclasses import dataclass

from probe.align.table.fold import together
from probe.align.table.proposal import Proposal

MOST = 6
"""Alternatives that a reader takes in at a glance."""


@dataclass(frozen=True, slots=True)
class _Name:
    parent: str
    own: str
    """What differs between siblings."""
    ending: str


def joined(rows: list[Proposal]) -> list[Proposal]:
    """`rows` in their order; those whose names differ in the same way from one parent on both sides are one."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    names: dict[int, tuple[_Name, _Name]] = {}
    for at, one in enumerate(rows):
        row = one.row
        if len(row.candidates) == 1 and "[" not in row.candidates[0] and row.layout is None:
            ours, theirs = _name(row.reference), _name(row.candidates[0])
            if ours and theirs and ours.ending:
                names[at] = ours, theirs
                key = (ours.parent, ours.ending, theirs.parent, theirs.ending, row.firm, one.reasons, one.confidence)
                groups[key].append(at)
    written = dict(enumerate(rows))
    for members in groups.values():
        for start in range(0, len(members), MOST):
            part = members[start : start + MOST]
            if len(part) > 1:
                texts = [_alternatives([names[at][side] for at in part]) for side in (0, 1)]
                written[part[0]] = together([rows[at] for at in part], texts[0], (texts[1],))
                for at in part[1:]:
                    del written[at]
    return [written[at] for at in sorted(written)]


def _name(text: str) -> _Name | None:
    """`q_proj`, or a short word alone as `wq`; the reference's siblings must end alike to be read as such."""
    if ":" in text:
        return None
    parent, _, last = text.rpartition(".")
    own, underscore, ending = last.partition("_")
    if not own.isalnum() or own.isdigit() or len(own) > 8 or "_" in ending:
        return None
    return _Name(parent, own, underscore + ending)


def _alternatives(names: list[_Name]) -> str:
    first = names[0]
    own = first.own if len({name.own for name in names}) == 1 else f"{{{','.join(name.own for name in names)}}}"
    return f"{first.parent}.{own}{first.ending}" if first.parent else f"{own}{first.ending}"
