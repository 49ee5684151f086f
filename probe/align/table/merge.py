"""A table's pairs and inferred ones as one mapping: a row's word counts, and inference fills what no row speaks of."""

from dataclasses import replace

from probe.align.mapping import Mapping, Pair, Source
from probe.align.same_tensor import with_same_tensors
from probe.align.table.apply import Applied, Key
from probe.dump import Dump
from probe.tap import Tap


def merged(applied: Applied, inferred: Mapping, reference: Dump, candidate: Dump) -> Mapping:
    """`inferred` where no row speaks, without pairs whose candidate values a row gives to another reference tap."""
    taken: dict[Key, list[tuple[Source, Pair]]] = {}
    for pair in applied.pairs.values():
        if not pair.reference.is_input:
            for source in pair.sources:
                taken.setdefault((source.tap.step, source.tap.name), []).append((source, pair))
    pairs = dict(applied.pairs)
    for pair in inferred.pairs:
        key = (pair.reference.step, pair.reference.name)
        if key in pairs and same_pair(pairs[key], pair):
            pairs[key] = replace(pairs[key], elsewhere=pair.elsewhere)
        if key not in applied.governed and not any(_given_away(pair, source, taken) for source in pair.sources):
            pairs[key] = pair
    ordered = [pairs[key] for tap in reference.module_taps if (key := (tap.step, tap.name)) in pairs]
    for pair in with_same_tensors(reference, ordered):
        key = (pair.reference.step, pair.reference.name)
        if key not in applied.skipped and not (key in applied.governed and key in pairs):
            pairs[key] = pair
    modules = {tap.module for tap in reference.module_taps if (tap.step, tap.name) in applied.governed}
    spoken = pairs.keys() | applied.skipped.keys()
    used = {(source.tap.step, source.tap.name) for pair in pairs.values() for source in pair.sources}
    return Mapping(
        tuple(pairs[key] for tap in reference.module_taps if (key := (tap.step, tap.name)) in pairs),
        tuple(tap for tap in reference.module_taps if (tap.step, tap.name) not in spoken),
        tuple(tap for tap in candidate.module_taps if (tap.step, tap.name) not in used),
        inferred.remarks,
        tuple(question for question in inferred.asked if _subject(question) not in modules),
        tuple(applied.skipped.values()),
    )


def same_pair(one: Pair, other: Pair) -> bool:
    """Whether two pairs compare the same numbers in the same way; a slice of everything is no slice."""
    return _values(one) == _values(other)


def _values(pair: Pair) -> tuple[object, ...]:
    layout = pair.layout
    kept = (layout.pattern, layout.unpadded, layout.scale, layout.offset, pair.firm)
    return (*kept, *((source.tap.name, source.block, cut(source)) for source in pair.sources))


def cut(source: Source) -> tuple[tuple[int, int], ...] | None:
    """Its channels; None where they are all of them, in order."""
    shape = source.tap.shape
    return None if shape and source.num_merged == 1 and source.columns == ((0, shape[-1]),) else source.columns


def _subject(question: str) -> str:
    """The reference's module that an inferred question ("is MODULE the ...?") is about: a row may have answered it."""
    return question.split(" ")[1]


def _given_away(pair: Pair, source: Source, taken: dict[Key, list[tuple[Source, Pair]]]) -> bool:
    if pair.reference.is_input:
        return False
    others = taken.get((source.tap.step, source.tap.name), ())
    return any(overlap(source, other) and not same_values(pair.reference, by.reference) for other, by in others)


def overlap(one: Source, other: Source) -> bool:
    """Whether two sources of one tap share channels."""
    if one.block is not None and other.block is not None and one.block != other.block:
        return False
    if one.columns is None or other.columns is None:
        return True
    ranges = sorted([*((*cut, 0) for cut in one.columns), *((*cut, 1) for cut in other.columns)])
    last = [0, 0]
    for start, stop, side in ranges:
        if start < last[1 - side]:
            return True
        last[side] = max(last[side], stop)
    return False


def same_values(one: Tap, other: Tap) -> bool:
    """A tensor that two modules hand on is two taps of the same numbers."""
    return one.statistics.hash == other.statistics.hash and one.num_elements == other.num_elements
