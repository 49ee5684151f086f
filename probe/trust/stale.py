"""Are these the tensors of that module and that step, or buffers not yet filled, or used again by others since?"""

from collections import defaultdict
from collections.abc import Iterator

from probe.align.mapping import Mapping, Pair
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.tap import Tap, template
from probe.trust.twins import is_constant, is_float, same_bytes, whole

FEWEST_LAYERS = 3


def filled(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """A tensor of one value everywhere, on one side alone: all zeros, or the -1 that a buffer began with.

    On both sides alike it is no reason to doubt, unless all tensors are so: then there is nothing to compare.
    """
    pairs = [(p.reference, other) for p in mapping.pairs if is_float(p.reference) and (other := whole(p))]
    pairs = [(mine, other) for mine, other in pairs if mine.num_elements > 1 and not mine.is_input]
    if len(pairs) >= FEWEST_LAYERS and all(_one_value(tap) for pair in pairs for tap in pair):
        message = f"each of the {len(pairs)} outputs compared holds one value, on both sides: did anything run?"
        yield TrustCheck("filled", Status.FAIL, message)
    for name, side in (("reference", 0), ("candidate", 1)):
        empty = [pair[side] for pair in pairs if _one_value(pair[side]) and not _one_value(pair[1 - side])]
        if not empty:
            continue
        value = empty[0].statistics.minimum
        what = "all zero" if value == 0 else f"{value:g} everywhere"
        more = f", and so are {len(empty) - 1} more taps" if len(empty) > 1 else ""
        every = all(_one_value(pair[side]) for pair in pairs)
        status = Status.FAIL if every and len(pairs) >= FEWEST_LAYERS else Status.WARN
        message = f"the {name}'s {empty[0].name} is {what}{more}, and the other side's is not: was it recorded?"
        yield TrustCheck("filled", status, message)


def _one_value(tap: Tap) -> bool:
    return tap.num_elements > 1 and tap.statistics.minimum == tap.statistics.maximum


def new_in_each_step(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """A tensor that a step has from the step before, though on the other side it changed."""
    known = {(pair.reference.step, pair.reference.name): pair for pair in mapping.pairs if not pair.reference.is_input}
    stale: dict[str, list[Pair]] = {"reference": [], "candidate": []}
    num_steady = 0
    for (step, name), pair in known.items():
        before = known.get((step - 1, name))
        now, then = whole(pair), whole(before) if before else None
        if before is None or now is None or then is None or is_constant(pair.reference) or is_constant(now):
            continue
        again = {
            "reference": same_bytes(pair.reference, before.reference),
            "candidate": same_bytes(now, then),
        }
        if sum(again.values()) == 1:
            stale["reference" if again["reference"] else "candidate"].append(pair)
        num_steady += not any(again.values())
    for side, pairs in stale.items():
        if pairs:
            tap = pairs[0].reference if side == "reference" else pairs[0].sources[0].tap
            more = f" ({len(pairs)} such taps)" if len(pairs) > 1 else ""
            message = f"the {side}'s {tap.name} is in step {tap.step} what it was in step {tap.step - 1}{more}"
            status = Status.FAIL if not num_steady and len(pairs) >= FEWEST_LAYERS else Status.WARN
            yield TrustCheck("stale", status, f"{message}: was its buffer read before it was written?")


def own_in_each_layer(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """One tensor in every layer: a graph that was captured has each layer write into the same buffer.

    Layers that do nothing look alike; but then what they return is what the first of them was given.
    """
    layers: dict[tuple[int, str, str], list[Pair]] = defaultdict(list)
    for pair in mapping.pairs:
        name, indices = template(pair.reference.module)
        if len(indices) == 1 and not pair.reference.is_input and is_float(pair.reference) and whole(pair):
            layers[pair.reference.step, name, pair.reference.port].append(pair)
    for side in ("reference", "candidate"):
        same = [pairs for pairs in layers.values() if len(pairs) >= FEWEST_LAYERS and _is_one(pairs, side)]
        if not same:
            continue
        tap = _taps(same[0], side)[0]
        idle = any(_given_to_first(pairs, side, mapping) for pairs in same)
        other = "candidate" if side == "reference" else "reference"
        message = f"the {side}'s {tap.name} is the same tensor in all {len(same[0])} layers, and the {other}'s is not"
        status = Status.WARN if idle else Status.FAIL
        why = "its layers do nothing, or they" if idle else "they"
        yield TrustCheck(
            "layers", status, f"{message}: {why} were read after the run, from one buffer (graph capture?)"
        )


def _taps(pairs: list[Pair], side: str) -> list[Tap]:
    return [pair.reference if side == "reference" else pair.sources[0].tap for pair in pairs]


def _is_one(pairs: list[Pair], side: str) -> bool:
    own = _taps(pairs, side)
    others = _taps(pairs, "candidate" if side == "reference" else "reference")
    one = all(same_bytes(tap, own[0]) for tap in own) and not is_constant(own[0])
    return one and not same_bytes(others[0], others[-1])


def _given_to_first(pairs: list[Pair], side: str, mapping: Mapping) -> bool:
    """Whether the first layer was given what all of them return."""
    first = pairs[0].reference
    own = _taps(pairs, side)[0]
    given = [p for p in mapping.pairs if p.reference.is_input and p.reference.module == first.module]
    return any(same_bytes(tap, own) for tap in _taps(given, side) if tap.step == first.step)
