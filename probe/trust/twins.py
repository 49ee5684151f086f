"""Taps of one run that hold the same bytes: what a dump's table says of how a model is wired, with no value read."""

from collections import defaultdict
from dataclasses import dataclass

from probe.align.layouts import number_kind
from probe.align.mapping import Mapping, Pair, Source
from probe.tap import Tap


def whole(pair: Pair) -> Tap | None:
    """The one candidate tap that as a whole stands for a pair's reference; None for parts of fused tensors."""
    tap = pair.sources[0].tap
    return tap if pair.sources == (Source(tap),) else None


def is_constant(tap: Tap) -> bool:
    """Of one value everywhere, or too small to tell: such tensors are equal by chance."""
    s = tap.statistics
    return tap.num_elements < 2 or not s.minimum < s.maximum


def is_float(tap: Tap) -> bool:
    return number_kind(tap.dtype) == "float"


def same_bytes(one: Tap, other: Tap) -> bool:
    """The hash of a tensor is that of its bytes, whatever its shape."""
    return one.statistics.hash == other.statistics.hash and one.dtype == other.dtype


Key = tuple[int, int, str]


def key(tap: Tap) -> Key:
    """What taps with the same bytes in one step share."""
    return tap.step, tap.statistics.hash, tap.dtype


@dataclass(frozen=True, slots=True)
class Twins:
    """Pairs by the bytes of either side; constant tensors and parts of fused ones left out."""

    by_reference: dict[Key, list[Pair]]
    by_candidate: dict[Key, list[Pair]]


def twins(mapping: Mapping) -> Twins:
    by_reference: dict[Key, list[Pair]] = defaultdict(list)
    by_candidate: dict[Key, list[Pair]] = defaultdict(list)
    for pair in mapping.pairs:
        other = whole(pair)
        if other and is_float(pair.reference) and not is_constant(pair.reference) and not is_constant(other):
            by_reference[key(pair.reference)].append(pair)
            by_candidate[key(other)].append(pair)
    return Twins(by_reference, by_candidate)
