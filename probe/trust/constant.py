"""Logits that differ by one number a token, as a centred unembedding makes them: other logits, the same probabilities.

T tokens, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np

from probe.align.mapping import Mapping, Pair
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.trust.twins import same_bytes

MOST_TOKENS = 16
SMALLEST = 1e-2
"""Of the logits' spread over the vocabulary: what is added to them must be more, or rounding may be all of it."""
EVEN = 1e-2
"""Largest spread of the difference over the vocabulary, relative to its mean."""


def same_probabilities(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Softmax does not see a constant; an argmax does not, and every other measure of the logits does."""
    pair = next((pair for pair in reversed(mapping.pairs) if _is_output(pair)), None)
    if pair is None or same_bytes(pair.reference, pair.sources[0].tap):
        return
    num_words = pair.reference.shape[-1]
    sides = reference.blocks(pair.reference, num_words), candidate.blocks(pair.sources[0].tap, num_words)
    shifts = []
    for _, r_V, c_V in zip(range(MOST_TOKENS), *sides, strict=False):
        difference_V = c_V.astype(np.float64) - r_V.astype(np.float64)
        mean, spread = float(difference_V.mean()), float(difference_V.std())
        if not abs(mean) > SMALLEST * float(r_V.std()) or not spread < EVEN * abs(mean):
            return
        shifts.append(mean)
    if shifts:
        message = f"{pair.reference.name} differs by one number a token ({shifts[0]:.3g} for the first)"
        said = f"{message}: the probabilities are the same (a centred unembedding, a folded norm?)"
        yield TrustCheck("constant", Status.WARN, said)


def _is_output(pair: Pair) -> bool:
    """What the model returns, if it may be logits: more words than a hidden state would differ in by chance."""
    tap = pair.reference
    return tap.module == "" and not tap.is_input and pair.is_plain and len(tap.shape) > 1 and tap.shape[-1] >= 8
