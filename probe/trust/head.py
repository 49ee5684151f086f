"""Do the logits follow from the last hidden state that was recorded? If not, one of the two is another run's.

C channels, T tokens, V vocabulary. logits_TV = hidden_TC @ weight_VC.T, and of the weight a dump has sketches: of each
column its norm and its direction projected on eight fixed vectors u_V. So u_V . logits is known twice.
"""

from collections.abc import Iterator

import numpy as np

from probe.align.mapping import Mapping, Numbers
from probe.dump import Dump, Weight, projections
from probe.metrics import BLOCK
from probe.report import Status, TrustCheck
from probe.tap import Tap
from probe.trust.points import final_norm
from probe.trust.reading import LARGEST
from probe.trust.twins import same_bytes

MOST_TOKENS = 64
WRONG = 0.05
"""Relative distance of the two projections, over all tokens. Sketches are float16, and logits may be bfloat16: honest
ones are 0.004 apart at most."""


def logits_follow(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    for name, dump in (("reference", reference), ("candidate", candidate)):
        found = _head(dump)
        if found is None:
            continue
        hidden, logits, weight = found
        apart = sketched_distance(dump, hidden, logits, weight)
        if apart > WRONG:
            message = f"the {name}'s {logits.name} does not follow from {hidden.name}, its last hidden state"
            what = f"they are {apart:.0%} apart: are both of one run, and of one point?"
            yield TrustCheck("logits", Status.WARN, f"{message}: {weight.name} makes other logits of it ({what})")


def _head(dump: Dump) -> tuple[Tap, Tap, Weight] | None:
    """The last hidden state, the logits and the weight between them.

    None where the dump does not show them, or where the head was given that very tensor, and nothing is left to ask.
    """
    norm = final_norm(dump)
    if norm is None:
        return None
    hidden = norm[1]
    step = [tap for tap in reversed(dump.module_taps) if tap.step == hidden.step]
    returned = {tap.module: tap for tap in step if tap.port == "out" and tap.order > hidden.order}
    taken = {tap.module: tap for tap in step if tap.is_input}
    for weight in dump.weights:
        if len(weight.shape) != 2 or weight.shape[1] != hidden.shape[-1]:
            continue
        logits, given = returned.get(weight.module), taken.get(weight.module)
        if logits is None or logits.shape[-1:] != weight.shape[:1]:
            continue
        if given is not None and same_bytes(given, hidden):
            return None
        has_bias = any(other.module == weight.module and other is not weight for other in dump.weights)
        tokens = hidden.num_elements // weight.shape[1], logits.num_elements // weight.shape[0]
        return (hidden, logits, weight) if tokens[0] == tokens[1] and not has_bias else None
    return None


def sketched_distance(dump: Dump, hidden: Tap, logits: Tap, weight: Weight) -> float:
    """||p - q|| / ||q|| over the first tokens and eight projections: p of the hidden state, q of the logits.

    Zero where it is too much to read.
    """
    num_words, num_channels = weight.shape
    num_tokens = min(MOST_TOKENS, hidden.num_elements // num_channels, max(1, LARGEST // num_words))
    columns = slice(weight.first_column, weight.first_column + weight.num_columns)
    norms_C, directions_C8 = dump.sketches.norms[columns], dump.sketches.directions[columns]
    if weight.num_columns != num_channels:
        return 0.0
    sketch_C8 = directions_C8.astype(np.float64) * norms_C[:, None]
    hidden_TC = _first(dump, hidden, num_tokens * num_channels).reshape(-1, num_channels)
    logits_TV = _first(dump, logits, num_tokens * num_words).reshape(-1, num_words)
    if not (np.isfinite(hidden_TC).all() and np.isfinite(logits_TV).all()):
        return 0.0
    told_T8, seen_T8 = hidden_TC @ sketch_C8, logits_TV @ projections(num_words).astype(np.float64)
    size = float(np.linalg.norm(seen_T8))
    return float(np.linalg.norm(told_T8 - seen_T8)) / size if size else 0.0


def _first(dump: Dump, tap: Tap, count: int) -> Numbers:
    """The first `count` numbers of a tap, in float64."""
    parts, missing = [], count
    for block in dump.blocks(tap, BLOCK):
        parts.append(block[:missing].astype(np.float64))
        missing -= len(parts[-1])
        if missing <= 0:
            break
    return np.concatenate(parts)
