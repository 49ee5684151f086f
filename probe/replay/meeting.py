"""One mapped tap, at the moment when a replay reaches it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probe.align.mapping import Numbers, Pair
from probe.replay.choices import in_rows
from probe.replay.origins import Origin
from probe.replay.program import Program


@dataclass(frozen=True, slots=True)
class Meeting:
    """One mapped tap, at the moment when the reference has computed it from the candidate's tensors."""

    pair: Pair
    computed: torch.Tensor
    """What the reference computed, in its shape and in the precision of this replay."""
    candidate: Numbers | None
    """What the candidate had, in the same shape; None where it is the very tensor that was put in before."""
    kept: NDArray[np.bool_] | None
    """[B, T]: tokens to compare, where the candidate dropped the padding."""
    origin: Origin
    module: str
    """The deepest module whose code can be at fault if the two differ."""
    program: Program | None = None
    """How it was computed from the candidate's tensors, where that is written down."""

    @property
    def compared(self) -> NDArray[np.bool_] | None:
        """[B, T]: tokens to compare; those that see nothing are none. None where all are."""
        shape, hidden = tuple(self.computed.shape), self.origin.hidden
        rows = None if hidden is None or len(shape) != 3 else in_rows(hidden, shape)
        if rows is None or rows.dim() != 3 or bool(rows.all()) or rows.shape[:2] != shape[:2]:
            return self.kept
        seeing: NDArray[np.bool_] = ~rows[..., 0].cpu().numpy()
        return seeing if self.kept is None else seeing & self.kept


Meet = Callable[[Meeting], None]


def same_numbers(pair: Pair) -> tuple[Any, ...]:
    """Equal for pairs whose candidate values are the same numbers in the same layout."""
    return (
        tuple((s.tap.statistics.hash, s.tap.dtype, s.columns, s.block) for s in pair.sources),
        pair.layout,
        pair.reference.shape,
    )
