"""Which tap is the model's result, and whether it is logits."""

from collections.abc import Sequence

from probe.align.layouts import number_kind
from probe.align.mapping import Pair
from probe.dump import Dump


def output_pair(pairs: Sequence[Pair]) -> Pair | None:
    """The last that the model returns as logits, or else the first that it returns. None where it returns nothing."""
    returned = [pair for pair in pairs if pair.reference.module == "" and not pair.reference.is_input]
    logits = [pair for pair in returned if "logits" in pair.reference.port]
    return logits[-1] if logits else returned[0] if returned else None


def is_logits(pair: Pair, reference: Dump) -> bool:
    """By its name, or because its last axis is as long as a vocabulary."""
    shape = pair.reference.shape
    return "logits" in pair.reference.port or bool(shape and shape[-1] in _vocabularies(reference))


def _vocabularies(dump: Dump) -> set[int]:
    """Sizes of what can be a vocabulary: the first axes of weights whose module is fed whole numbers."""
    embeddings = {tap.module for tap in dump.module_taps if tap.is_input and number_kind(tap.dtype) == "int"}
    return {weight.shape[0] for weight in dump.weights if weight.module in embeddings and len(weight.shape) == 2}
