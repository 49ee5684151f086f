"""Logits that differ by one number a token, as a centred unembedding makes them: other logits, the same probabilities.

T tokens, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np

from probe.align.mapping import Mapping, Pair
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.report import Status, TrustCheck
from probe.trust.twins import same_bytes

MOST_TOKENS = 16
ROUNDINGS = 16.0
"""Of the coarser dtype: what is added to the logits must be more of their norm, and what differs besides less of their
spread over the vocabulary. Honest bf16 and fp16 runs of 3 and 12 layers reach 7.5 and 12, where all words share a part
that is many times what tells them apart."""
LEAST = 1e-3
"""Never less than this."""


def same_probabilities(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Softmax does not see a constant; every measure of the logits themselves does."""
    pair = next((pair for pair in reversed(mapping.pairs) if _is_output(pair)), None)
    if pair is None or same_bytes(pair.reference, pair.sources[0].tap):
        return
    with np.errstate(all="ignore"):  # a NaN or an infinity is no constant
        yield from _shifted(reference, candidate, pair)


def _shifted(reference: Dump, candidate: Dump, pair: Pair) -> Iterator[TrustCheck]:
    tap, other = pair.reference, pair.sources[0].tap
    num_words = tap.shape[-1]
    sides = reference.blocks(tap, num_words), candidate.blocks(other, num_words)
    tokens = [(r.astype(np.float64), c.astype(np.float64)) for _, r, c in zip(range(MOST_TOKENS), *sides, strict=False)]
    r_TV, c_TV = (np.stack(side) for side in zip(*tokens, strict=True))
    shift_T1 = (c_TV - r_TV).mean(axis=1, keepdims=True)
    spread_TV = r_TV - r_TV.mean(axis=1, keepdims=True)
    added, size = float(np.linalg.norm(shift_T1)) * num_words**0.5, float(np.linalg.norm(r_TV))
    left, spread = float(np.linalg.norm(c_TV - r_TV - shift_T1)), float(np.linalg.norm(spread_TV))
    roundoff = max(UNIT_ROUNDOFF.get(dtype, 0.0) for dtype in (tap.dtype, other.dtype))
    limit = max(LEAST, ROUNDINGS * roundoff)
    if added > limit * size and left < limit * spread:
        message = f"{tap.name} differs by one number a token ({shift_T1[0, 0]:.3g} for the first)"
        rest = f"without it the logits are {left / spread:.1e} of their spread apart"
        said = f"{message}, which softmax does not see (a centred unembedding, log-probabilities?): {rest}"
        yield TrustCheck("constant", Status.WARN, said)


def _is_output(pair: Pair) -> bool:
    """What the model returns, if it may be logits: more words than a hidden state would differ in by chance."""
    tap = pair.reference
    returned = tap.module == "" and not tap.is_input and tap.num_elements > 0
    return returned and pair.is_plain and len(tap.shape) > 1 and tap.shape[-1] >= 8
