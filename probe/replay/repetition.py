"""What a candidate's own repetition shows (`probe dump --repeat`), as a part of the floor.

A local error is what arose since the taps before, and so has to be held against what arises there from run to run: the
table's `own`, of runs that were given the recorded tensor at every tap. Where such noise arises at a tap that no pair
holds, it is part of the next pair's span and of that pair's `own` no longer; from there on the distance end to end is
taken, which no local noise exceeds. It grows from layer to layer, and so hides more.

The reference needs none of this: it is run again by the replay itself, twice, and what it does not repeat lies between
those two passes as rounding does.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from probe.align.mapping import Pair
from probe.dump import Dump
from probe.dump.dtypes import NUMPY_OTHERS
from probe.replay.local_error import LocalError
from probe.tap import Tap


def own_noise(candidate: Dump, pairs: Sequence[Pair]) -> dict[str, float]:
    """By reference tap of one step's pairs: the norm of what may differ there from run to run."""
    seen = candidate.repetition
    if not seen or not pairs:
        return {}
    held = {source.tap.name for pair in pairs if pair.firm for source in pair.sources}
    step = pairs[0].sources[0].tap.step
    unheld = [
        tap.order for tap in candidate.taps if tap.step == step and seen[step, tap.name][1] and tap.name not in held
    ]
    first = min(unheld, default=math.inf)
    return {
        pair.reference.name: noise(pair, candidate, own=all(source.tap.order < first for source in pair.sources))
        for pair in pairs
    }


def noise(pair: Pair, candidate: Dump, *, own: bool = False) -> float:
    """The norm of the candidate's noise in a pair: of whole taps, even where the pair has some of their channels only.

    For whole numbers, how many are others. Infinite distances are no size, and leave the floor where it is.
    """
    squares = 0.0
    for source in pair.sources:
        far = candidate.repetition.get((source.tap.step, source.tap.name), (0.0, 0.0))[own]
        squares += (far * _size(source.tap) * pair.layout.scale) ** 2 if 0 <= far < math.inf else 0.0
    return math.sqrt(squares)


def relative_noise(pair: Pair, reference: Dump, candidate: Dump) -> float:
    """What both runs' own repetitions show end to end, relative to the reference's tap."""
    tap = pair.reference
    far = reference.repetition.get((tap.step, tap.name), (0.0, 0.0))[0]
    ours = far if 0 <= far < math.inf else 0.0
    return math.hypot(ours, noise(pair, candidate) / (_size(tap) or 1.0))


def _size(tap: Tap) -> float:
    return tap.num_elements if tap.dtype in NUMPY_OTHERS else tap.statistics.l2


def with_repetition(errors: Sequence[LocalError], noises: dict[str, float]) -> list[LocalError]:
    """The same errors; no floor is below that noise."""
    found = []
    for error in errors:
        size = noises.get(error.pair.reference.name, 0.0)
        found.append(replace(error, floor=max(error.floor, size), repetition=size) if size else error)
    return found
