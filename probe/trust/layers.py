"""Do layers stand for the right layers, and is each one given what the one before returned?"""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from probe.align.mapping import Mapping, Pair
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.tap import Tap
from probe.trust.reading import distance
from probe.trust.twins import same_bytes, whole

NUMBER = re.compile(r"\d+")
FEW = 4
"""Boundaries between layers whose values are read, at most."""
FAR = 0.02
"""Relative distance of two tensors that rounding does not explain: a cast to bfloat16 and back moves one by 0.004."""


def layers_in_order(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Later layers stand for later ones, each for one: `layer_1` for `layer_10` is a prefix that matched too much."""
    found: dict[tuple[str, str], dict[tuple[int, ...], Pair]] = defaultdict(dict)
    for pair in mapping.pairs:
        if pair.reference.is_input or pair.reference.step:
            continue
        mine, other = pair.reference.module, pair.sources[0].tap.module
        if NUMBER.search(mine) and NUMBER.search(other):
            found[NUMBER.sub("{}", mine), NUMBER.sub("{}", other)].setdefault(_numbers(mine), pair)
    mixed = [mix_up for pairs in found.values() if (mix_up := _mix_up(pairs))]
    if mixed:
        both = " and ".join(f"{p.reference.module} by {p.sources[0].tap.module}" for p in mixed[0])
        message = f"layers do not pair in order: {both}"
        yield TrustCheck("layers", Status.WARN, f"{message}; does a name match too much, as layer_1 does layer_10?")


def _mix_up(pairs: dict[tuple[int, ...], Pair]) -> tuple[Pair, Pair] | None:
    """Two neighbours whose counterparts are one and the same, or in the other order, judged by the layer's number."""
    ordered = [pairs[numbers] for numbers in sorted(pairs)]
    for one, other in pairwise(ordered):
        first, second = (_numbers(pair.sources[0].tap.module) for pair in (one, other))
        same_layer = _numbers(one.reference.module)[0] == _numbers(other.reference.module)[0]
        if second[0] < first[0] or (not same_layer and first == second and _source(one) == _source(other)):
            return one, other
    return None


def _numbers(module: str) -> tuple[int, ...]:
    return tuple(map(int, NUMBER.findall(module)))


def _source(pair: Pair) -> object:
    return [(source.tap.name, source.columns) for source in pair.sources]


def layers_are_chained(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Where one side gives a layer what the layer before returned, the other side does so too."""
    known = [pair for pair in mapping.pairs if pair.firm or pair.elsewhere]
    outputs = {(p.reference.step, p.reference.module): p for p in known if p.reference.port == "out"}
    given: dict[tuple[int, str], Pair] = {}
    for pair in known:
        if pair.reference.is_input:
            given.setdefault((pair.reference.step, pair.reference.module), pair)
    num_read = 0
    for (step, module), into in given.items():
        before = outputs.get((step, _previous(module)))
        if before is None:
            continue
        ours, theirs = (before.reference, into.reference), (whole(before), whole(into))
        if theirs[0] is None or theirs[1] is None or num_read >= FEW:
            continue
        sides = (("reference", reference, ours), ("candidate", candidate, (theirs[0], theirs[1])))
        broken = [side for side in sides if not same_bytes(*side[2])]
        if len(broken) == 1:
            [(name, dump, (returned, taken))] = broken
            num_read += 1
            apart = _apart(dump, returned, taken)
            if apart:
                other = "candidate" if name == "reference" else "reference"
                message = f"in the {name}, {taken.name} is not {returned.name}: they differ by {apart:.1e}"
                yield TrustCheck("chain", Status.WARN, f"{message}; in the {other} they are the same tensor")
                return


def _previous(module: str) -> str:
    """`layers.3` of `layers.4`; "" for what is no layer, or the first."""
    head, dot, last = module.rpartition(".")
    return f"{head}{dot}{int(last) - 1}" if last.isascii() and last.isdigit() and int(last) else ""


def _apart(dump: Dump, returned: Tap, taken: Tap) -> float | None:
    """The relative distance of two tensors that are not the same one in another dtype; None where they may be."""
    if returned.num_elements != taken.num_elements:
        return None
    apart = distance(dump, returned, taken)
    return apart if apart > FAR else None
