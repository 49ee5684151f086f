"""Calls of functions beside each other: by the module that makes them, the function, and how many were before.

Attention has one name whatever computes it, so where both runs have as many calls of it in a step, they are paired in
their order: a port need not have a module for it.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping as Mapping_
from dataclasses import replace

from probe.align.layouts import layout_for, number_kind
from probe.align.mapping import Functions, Mapping, Pair, Source
from probe.align.match import Match
from probe.dump import Dump
from probe.tap import Tap

REASON = "the same function"
Place = tuple[int, str, int]
"""Step, module and call: of one call of a function."""
Calls = dict[Place, dict[str, Tap]]
"""By place, its taps by port; in order of execution."""
UNORDERED = ("in.mask", "in.scale", "in.softcap")
"""Ports of attention that know neither heads nor channels, in whatever order the matrices before have them."""
MOVED = 0.25
"""Of the logarithm of two scales' ratio: with scaled queries nearer than this, the scale is at another place."""


def with_functions(mapping: Mapping, matches: Mapping_[str, Match], reference: Dump, candidate: Dump) -> Mapping:
    """`mapping`, with its `functions`."""
    ours, theirs = _calls(reference), _calls(candidate)
    if not ours or not theirs:
        only = (tuple(tap for taps in calls.values() for tap in taps.values()) for calls in (ours, theirs))
        return replace(mapping, functions=Functions((), *only))
    owners = _owners(mapping, matches)
    partners = _by_owner(ours, theirs, owners) | _in_order(ours, theirs, owners)
    pairs = [pair for place, other in partners.items() for pair in _pairs(ours[place], theirs[other])]
    reordered = [name for name, match in matches.items() if any(part.is_reordered for part in match.parts)]
    reordered += [pair.reference.module for pair in mapping.pairs if _is_in_another_order(pair)]
    pairs = [pair for pair in pairs if not _is_reordered(pair.reference, reordered)]
    pairs.sort(key=lambda pair: (pair.reference.step, pair.reference.order))
    known = {pair.reference for pair in pairs}, {pair.sources[0].tap for pair in pairs}
    only = (
        tuple(tap for taps in calls.values() for tap in taps.values() if tap not in paired)
        for calls, paired in zip((ours, theirs), known, strict=True)
    )
    return replace(mapping, functions=Functions(tuple(pairs), *only))


def _calls(dump: Dump) -> Calls:
    calls: Calls = defaultdict(dict)
    for tap in dump.taps:
        if tap.is_functional:
            calls[tap.step, tap.module, tap.call][tap.port] = tap
    return dict(calls)


def _owners(mapping: Mapping, matches: Mapping_[str, Match]) -> dict[str, str]:
    """By module of the reference the candidate's, as a whole."""
    told = {name: match.parts[0] for name, match in matches.items() if match.is_sure and len(match.parts) == 1}
    owners = {name: part.module for name, part in told.items() if part.columns is None}
    for pair in mapping.pairs:
        if pair.reason.startswith("table") and len(pair.sources) == 1:
            owners[pair.reference.module] = pair.sources[0].tap.module
    return owners


def _by_owner(ours: Calls, theirs: Calls, owners: Mapping_[str, str]) -> dict[Place, Place]:
    partners = {}
    for place, taps in ours.items():
        step, module, call = place
        tap = next(iter(taps.values()))
        owner = owners.get(tap.owner)
        if owner is not None:
            function = module.rpartition("@")[2]
            other = step, f"{owner}.@{function}" if owner else f"@{function}", call
            if other in theirs:
                partners[place] = other
    return partners


def _in_order(ours: Calls, theirs: Calls, owners: Mapping_[str, str]) -> dict[Place, Place]:
    """Calls of attention, of steps that have as many on both sides; none where that contradicts what is known."""
    partners: dict[Place, Place] = {}
    for step in {place[0] for place in ours}:
        sides = [
            [place for place in calls if place[0] == step and _is_attention(calls[place])] for calls in (ours, theirs)
        ]
        both = list(zip(*sides, strict=False))
        modules = {other[1].rpartition("@")[0].removesuffix(".") for other in sides[1]}
        known = [
            (owners.get(mine[1].rpartition("@")[0].removesuffix(".")), other[1].rpartition("@")[0].removesuffix("."))
            for mine, other in both
        ]
        contradicted = any(owner in modules and owner != found for owner, found in known)
        if len(sides[0]) == len(sides[1]) and not contradicted:
            partners |= dict(both)
    return partners


def _is_attention(taps: Mapping_[str, Tap]) -> bool:
    return next(iter(taps.values())).module_class == "attention"


def _pairs(ours: Mapping_[str, Tap], theirs: Mapping_[str, Tap]) -> Iterator[Pair]:
    factor = _moved_scale(ours, theirs)
    for port, tap in ours.items():
        other = theirs.get(port)
        if other is None or number_kind(tap.dtype) != number_kind(other.dtype):
            continue
        if factor is not None and port == "in.scale":
            continue
        layout = layout_for(tap.shape, other.shape, None, None)
        if layout is not None:
            if factor is not None and port == "in.query":
                layout = replace(layout, scale=factor)
            yield Pair(tap, (Source(other),), layout, REASON, firm=False)


def _moved_scale(ours: Mapping_[str, Tap], theirs: Mapping_[str, Tap]) -> float | None:
    """What the candidate's query is to be multiplied by, where one side scales the query and the other the scores."""
    if not all("in.scale" in taps and "in.query" in taps for taps in (ours, theirs)):
        return None
    scales = [abs(taps["in.scale"].statistics.mean) for taps in (ours, theirs)]
    sizes = [taps["in.query"].statistics.l2 for taps in (ours, theirs)]
    if not all((*scales, *sizes)) or scales[0] == scales[1]:
        return None
    apart, as_one = math.log(scales[1] / scales[0]), math.log(scales[1] * sizes[1] / (scales[0] * sizes[0]))
    return scales[1] / scales[0] if abs(as_one) < MOVED * abs(apart) else None


def _is_in_another_order(pair: Pair) -> bool:
    """By a table: what is inferred of modules says so itself."""
    return pair.reason == "table" and len(pair.sources) == 1 and len(pair.sources[0].columns or ()) > 1


def _is_reordered(tap: Tap, reordered: list[str]) -> bool:
    """Whether a port has its channels in another order than the candidate's, as where rotary pairs lie otherwise."""
    inside = tap.owner + "." if tap.owner else ""
    return tap.port not in UNORDERED and any(name.startswith(inside) for name in reordered)
