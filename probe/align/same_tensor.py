"""Taps that hold one tensor: what is known of one of them is known of all.

A module's output is the next one's input, a container's output is its last module's. Where the reference has a tap
more at such a point than the candidate, the candidate's one tap there is the counterpart of both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from probe.align.layouts import number_kind
from probe.align.mapping import Layout, Pair, Source
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.tap import Tap

Key = tuple[int, int, str]
"""Step, hash and dtype: equal hashes are equal numbers in the same order, whatever the shape."""
NEAR = 1e-3
FAR = 8
"""Difference of two tensors' statistics, relative to the largest element, that may be rounding (and four roundings of
the dtype more), and how many times that is none."""


def with_same_tensors(reference: Dump, pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs` and those that follow from them, in the reference's order of execution.

    A pair that was not firm becomes so where it says the same as a firm one. One that was is so no longer where the
    candidate had the reference's numbers a little later: an embedding that is tapped before it is scaled.
    """
    if not any(pair.firm and pair.reference.module for pair in pairs):
        return list(pairs)  # two unrelated models: that both return something tells nothing of what is inside
    pairs = _doubted(pairs)
    known = {_place(pair.reference): pair for pair in pairs}
    groups: dict[Key, list[Pair]] = {}
    loose: dict[Key, list[Pair]] = {}
    for pair in pairs:
        if key := tensor_key(pair.reference):
            (groups if pair.firm else loose).setdefault(key, []).append(pair)
    for key, group in groups.items():
        at_the_point = [pair for pair in group if _distance(pair) < 1]
        one_tensor = len({tensor_key(pair.sources[0].tap) for pair in group}) == 1
        groups[key] = at_the_point or (group if one_tensor else [])
    found = []
    for tap in reference.module_taps:
        own, key = known.get(_place(tap)), tensor_key(tap)
        if key and (same := groups.get(key) or loose.get(key)):
            own = _derived(tap, own, same[0])
        if own:
            found.append(own)
    return found


def _doubted(pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs`; those that say of one tensor that it is two are no longer firm where another one says it better.

    What the model returns is doubted only where that is a tensor which agrees elsewhere, as a hidden state from before
    the last norm does: what the candidate computed for it alone is what the model is judged by.
    """
    of_reference: dict[Key, list[Pair]] = {}
    of_candidate: dict[Key, list[Pair]] = {}
    for pair in pairs:
        if pair.firm and (key := tensor_key(pair.reference)):
            of_reference.setdefault(key, []).append(pair)
        if pair.firm and is_measured(pair) and (key := tensor_key(pair.sources[0].tap)):
            of_candidate.setdefault(key, []).append(pair)
    far = {pair for group in of_reference.values() for pair in _far(group)}
    for group in of_candidate.values():  # what the candidate lacks is no doubt: its numbers must be found later
        far |= {pair for i, pair in enumerate(group) if pair in _far(group[i:])}
    agreed = {
        tensor_key(pair.sources[0].tap) for pair in pairs if pair.firm and is_measured(pair) and _distance(pair) < 1
    }
    far = {pair for pair in far if not pair.reference.is_returned or tensor_key(pair.sources[0].tap) in agreed}
    return [replace(pair, firm=False, elsewhere=True) if pair in far else pair for pair in pairs]


def _far(group: Sequence[Pair]) -> list[Pair]:
    """Those with other numbers than the group's nearest, which has the same; by order alone, of which it is nearer."""
    nearest = min(_distance(pair) for pair in group)
    return [
        pair for pair in group if (nearest < 1 or pair.reason == "order") and _distance(pair) > FAR * max(nearest, 1)
    ]


def _derived(tap: Tap, own: Pair | None, other: Pair) -> Pair | None:
    """The tap's pair, given that of another tap which holds the same tensor."""
    if own is None and (tap.shape == other.reference.shape or other.layout == Layout()):
        return replace(other, reference=tap, reason=f"the same tensor as {other.reference.name}")
    if own and other.firm and not own.firm and _same_sources(own, other):
        return replace(own, firm=True, reason=f"{own.reason}, the same tensor as {other.reference.name}")
    return own


def equal_numbers(taps: Iterable[Tap], candidates: Iterable[Tap]) -> list[Pair]:
    """Pairs of whole-number taps that hold the very same numbers in both dumps: ids and positions under other names."""
    by_key: dict[Key, Tap] = {}
    for tap in candidates:
        key = tensor_key(tap, kind="int")
        if key:
            by_key.setdefault(key, tap)
    found = []
    for tap in taps:
        key = tensor_key(tap, kind="int")
        if key and key in by_key:
            found.append(Pair(tap, (Source(by_key[key]),), Layout(), "the same numbers", firm=False))
    return found


def _place(tap: Tap) -> tuple[int, str]:
    return tap.step, tap.name


def tensor_key(tap: Tap, kind: str = "float") -> Key | None:
    """None for what may be equal by chance: masks, and tensors of a single value."""
    s = tap.statistics
    tells = s.minimum < s.maximum or (kind == "int" and s.minimum > 1)  # one token's id, but no mask or first position
    if number_kind(tap.dtype) != kind or not tells or s.num_nan or s.num_inf:
        return None
    return tap.step, s.hash, tap.dtype


def _distance(pair: Pair) -> float:
    """`distance` of a pair's taps; for a part of a tensor statistics say nothing."""
    return distance(pair.reference, pair.sources[0].tap) if is_measured(pair) else 0.0


def is_measured(pair: Pair) -> bool:
    """Whether both taps are meant as a whole."""
    source = pair.sources[0]
    is_whole = source == Source(source.tap) and len(pair.sources) == 1
    return is_whole and pair.reference.num_elements == source.tap.num_elements


def distance(reference: Tap, candidate: Tap) -> float:
    """Of two tensors' statistics, in units of what rounding may do."""
    a, b = reference.statistics, candidate.statistics
    rounding = NEAR + 4 * max(UNIT_ROUNDOFF.get(tap.dtype, 0.0) for tap in (reference, candidate))
    size = (max(abs(a.minimum), abs(a.maximum)) or 1.0) * rounding
    return max(abs(a.minimum - b.minimum), abs(a.maximum - b.maximum), abs(a.std - b.std)) / size


def _same_sources(own: Pair, other: Pair) -> bool:
    """Whether the candidate's taps of both pairs hold the same tensors too."""
    if own.layout != other.layout or len(own.sources) != len(other.sources):
        return False
    return all(
        replace(ours, tap=theirs.tap) == theirs
        and (key := tensor_key(ours.tap)) is not None
        and key == tensor_key(theirs.tap)
        for ours, theirs in zip(own.sources, other.sources, strict=True)
    )
