"""Were both sides tapped at the same point? A name says little: before or after the final norm, before or after a sum.

What a container returns (the model, a layer, an attention) is in the reference the very tensor that some module inside
returned or was given. In the candidate it must be that module's too.
"""

from collections.abc import Iterator

from probe.align.mapping import Mapping, Pair
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.report import Status, TrustCheck
from probe.tap import Tap, template
from probe.trust.reading import relative_distance
from probe.trust.twins import Twins, is_constant, is_float, key, same_bytes, twins, whole

FEW = 3
"""Taps whose values are read, at most."""
FAR, NEAR = 0.05, 0.02
"""Relative distances: of the point that a tap is taken for, and of the one that it is. Honest bf16 models stay below
0.02 of each other at the last hidden state; a hidden state and its norm are 0.5 and more apart."""


def same_points(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    found = list(_by_bytes(reference, mapping)) or list(_by_values(reference, candidate, mapping))
    if found:
        more = f"; so are {len(found) - 1} more taps" if len(found) > 1 else ""
        yield TrustCheck("point", Status.WARN, found[0] + more)


def _by_bytes(reference: Dump, mapping: Mapping) -> Iterator[str]:
    """By how each side is wired; no values are read."""
    equal = twins(mapping)
    containers = _containers(reference)
    for pair in mapping.pairs:
        tap, other = pair.reference, whole(pair)
        if tap.is_input or other is None or tap.module not in containers or not (pair.firm or pair.elsewhere):
            continue
        if is_constant(tap) or is_constant(other) or not is_float(tap):
            continue
        where = _elsewhere(pair, equal)
        if where:
            own, its = where
            yield (
                f"{tap.name} is not taken at the same point: in the reference it is {_what(own.reference)}, "
                f"in the candidate {_what(its.reference)}"
            )


def _elsewhere(pair: Pair, equal: Twins) -> tuple[Pair, Pair] | None:
    """The pair whose tensor this is in the reference, and the other one whose tensor it is in the candidate."""
    other = whole(pair)
    assert other is not None
    own = [twin for twin in equal.by_reference[key(pair.reference)] if twin.reference.module != pair.reference.module]
    if not own or any(same_bytes(tap, other) for twin in own if (tap := whole(twin))):
        return None
    for twin in equal.by_candidate[key(other)]:
        size = twin.reference.num_elements == pair.reference.num_elements
        if size and twin.firm and not _like(twin.reference, pair.reference):
            return own[0], twin
    return None


def _like(one: Tap, other: Tap) -> bool:
    """Equal, or one is the other in another dtype."""
    if one.dtype == other.dtype:
        return one.statistics.hash == other.statistics.hash
    return abs(one.statistics.l2 - other.statistics.l2) <= 0.01 * other.statistics.l2


def _what(tap: Tap) -> str:
    return f"what {tap.module} {'is given' if tap.is_input else 'returned'}"


def _containers(dump: Dump) -> set[str]:
    """Modules with others inside that ran."""
    inside: set[str] = set()
    for module in {tap.module for tap in dump.module_taps if tap.module}:
        parts = module.split(".")
        inside.update(".".join(parts[:count]) for count in range(len(parts)))
    return inside


def final_norm(dump: Dump) -> tuple[Tap, Tap] | None:
    """What the last norm outside all layers was given and returned; None where there is no such norm."""
    norms = [tap for tap in dump.module_taps if "norm" in tap.module_class.lower() and not template(tap.module)[1]]
    last = next((tap for tap in reversed(norms) if tap.port == "out" and tap.step == dump.steps[0]), None)
    if last is None:
        return None
    call = [tap for tap in norms if (tap.step, tap.module, tap.call) == (last.step, last.module, last.call)]
    given = next((tap for tap in call if tap.is_input and tap.shape == last.shape), None)
    layers = [tap.order for tap in dump.module_taps if tap.step == last.step and template(tap.module)[1]]
    return (given, last) if given and layers and given.order > max(layers) else None


def _by_values(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[str]:
    """A candidate without a norm of its own to look at (another runtime's) is held against both of the reference's."""
    norm = final_norm(reference)
    if norm is None:
        return
    kept = kept_tokens(reference)
    pairs = [p for p in mapping.pairs if not p.reference.is_input and p.reference.module != norm[0].module]
    pairs = [pair for pair in pairs if pair.firm or pair.elsewhere]
    for before, after in (norm, norm[::-1]):
        for pair in [pair for pair in pairs if same_bytes(pair.reference, before)][:FEW]:
            if relative_distance(reference, candidate, pair, kept) < FAR:
                continue
            if relative_distance(reference, candidate, pair, kept, instead=after) < NEAR:
                sides = ("before", "after") if before is norm[0] else ("after", "before")
                yield (
                    f"{pair.reference.name} is taken {sides[0]} the final norm ({norm[0].module}) in the reference "
                    f"and {sides[1]} it in the candidate"
                )
