"""Do the candidate's sentences lie in the reference's order? A server may stack them as their requests ended.

B sentences, T tokens, C channels.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from probe.align.mapping import Mapping, Pair, candidate_values
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.report import Status, TrustCheck
from probe.tap import template
from probe.trust.reading import LARGEST
from probe.trust.twins import is_constant, is_float, same_bytes, whole

ALIKE = 0.9
"""Least cosine of two sentences' tensors that are taken for the same sentence's."""
UNLIKE = 0.05
"""By how much the sentence at the same place must be less alike."""


def sentences_in_order(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Each sentence is most like the one at its place: where the run ends and, apart from that, in the layers."""
    for pair in _asked(mapping):
        order = _order(reference, candidate, pair)
        if order is not None:
            places = ", ".join(map(str, order[:6])) + (", ..." if len(order) > 6 else "")
            message = f"the candidate's sentences lie in another order at {pair.reference.name}"
            yield TrustCheck("rows", Status.WARN, f"{message}: the reference's are its number {places}")
            return


def _asked(mapping: Mapping) -> Iterator[Pair]:
    """The last [B, T, C] of several sentences outside the layers, and inside, small enough to be read whole."""
    asked: set[bool] = set()
    for pair in reversed(mapping.pairs):
        tap, other = pair.reference, whole(pair)
        in_layer = bool(template(tap.module)[1])
        if in_layer in asked or tap.is_input or not pair.firm or other is None or len(tap.shape) != 3:
            continue
        small = tap.shape[0] > 1 and tap.num_elements <= LARGEST
        if small and not pair.layout.unpadded and is_float(tap) and not is_constant(tap):
            asked.add(in_layer)
            if not same_bytes(tap, other):
                yield pair


def _order(reference: Dump, candidate: Dump, pair: Pair) -> NDArray[np.int64] | None:
    """Which of the candidate's sentences each of the reference's is, where that is another than its own."""
    r_BN, c_BN = (
        np.nan_to_num(values.astype(np.float64)).reshape(len(values), -1)
        for values in (reference.read(pair.reference), candidate_values(pair, candidate, kept_tokens(reference)))
    )
    r_BN, c_BN = _centred(r_BN), _centred(c_BN)
    cosines_BB = r_BN @ c_BN.T
    order = cosines_BB.argmax(axis=1)
    own, best = cosines_BB.diagonal(), cosines_BB.max(axis=1)
    moved = order != np.arange(len(order))
    is_permutation = len(set(order.tolist())) == len(order)
    certain = (best >= ALIKE).all() and (best - own)[moved].min(initial=np.inf) >= UNLIKE
    return order if moved.any() and is_permutation and certain else None


def _centred(rows_BN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Less what all sentences share, and of norm one; a sentence like the mean is left at zero."""
    rows_BN = rows_BN - rows_BN.mean(axis=0)
    norms_B1 = np.linalg.norm(rows_BN, axis=1, keepdims=True)
    return np.asarray(rows_BN / np.where(norms_B1 > 0, norms_B1, 1))
