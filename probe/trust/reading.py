"""How far two taps are apart: the only place of the trust gate where values are read, of few taps and in blocks."""

import numpy as np
from numpy.typing import NDArray

from probe.align.mapping import Pair, candidate_values
from probe.dump import Dump
from probe.metrics import BLOCK, compare, compare_blocks
from probe.tap import Tap

LARGEST = 1 << 22
"""Elements of a tensor that is read whole, where its layout leaves no other way."""


def relative_distance(
    reference: Dump, candidate: Dump, pair: Pair, kept: NDArray[np.bool_] | None, instead: Tap | None = None
) -> float:
    """||c - r|| / ||r||; `instead` is another reference tap of that shape. NaN where it is too much to read."""
    tap = instead or pair.reference
    if pair.is_plain and tap.shape == pair.reference.shape:
        blocks = zip(reference.blocks(tap, BLOCK), candidate.blocks(pair.sources[0].tap, BLOCK), strict=True)
        return compare_blocks(blocks).rel_l2
    if tap.num_elements > LARGEST or tap.num_elements != pair.reference.num_elements:
        return np.nan
    r, c = reference.read(tap).reshape(pair.reference.shape), candidate_values(pair, candidate, kept)
    if pair.layout.unpadded and kept is not None:
        r, c = r[kept], c[kept]
    return compare(r, c).rel_l2


def distance(dump: Dump, one: Tap, other: Tap) -> float:
    """The same of two taps of one run, in the order in which their numbers lie."""
    return compare_blocks(zip(dump.blocks(one, BLOCK), dump.blocks(other, BLOCK), strict=True)).rel_l2
