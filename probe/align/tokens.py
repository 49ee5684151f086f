"""Which tokens of the reference's batch are no padding."""

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump


def kept_tokens(reference: Dump, step: int = 0) -> NDArray[np.bool_] | None:
    """The attention mask [B, T] that the reference was fed; True where a token is no padding."""
    bits, _ = reference.inputs(step).get("attention_mask", (None, ""))
    return bits.astype(bool) if bits is not None and bits.ndim == 2 else None
