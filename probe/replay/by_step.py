"""The local error of each step of a sequence: what goes wrong while decoding alone is little beside the prompt."""

import math
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from probe.dump.joined import Span
from probe.replay.local_error import StepError


@dataclass(frozen=True, slots=True)
class Sequence:
    """Tokens that several steps computed."""

    spans: tuple[Span, ...]
    kept: NDArray[np.bool_] | None
    """[B, T]: which tokens are no padding; None where all are."""

    def padding(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Which elements are those of padding, in a shape that broadcasts; None where none are."""
        axis = token_axis(tensor.shape, self.spans[-1].stop)
        if self.kept is None or self.kept.all() or not axis or tensor.shape[0] != len(self.kept):
            return None
        shape = [len(self.kept) if dim == 0 else size if dim == axis else 1 for dim, size in enumerate(tensor.shape)]
        return torch.from_numpy(~self.kept).reshape(shape)


def token_axis(shape: Sequence_[int], num_tokens: int) -> int | None:
    """Which axis is that of the tokens: of [B, T, C], [B, H, T, D], [T, C] and [B, T] in this order; None where none
    has that size."""
    usual = {4: (2, 1, 3, 0), 3: (1, 0, 2), 2: (0, 1)}.get(len(shape), tuple(range(len(shape))))
    return next((axis for axis in usual if shape[axis] == num_tokens), None)


def by_step(
    exact: torch.Tensor,
    candidate: torch.Tensor,
    low: torch.Tensor | None,
    spans: Sequence_[Span],
    floor: float,
    roundoff: float,
) -> tuple[StepError, ...]:
    """One a step, in order; none where no axis is that of the tokens. `floor` is that of the whole tap.

    A row's own rounding may happen to be small: what the whole tap's rows have in the mean is expected of it too, and
    of a single row what the worst of them has, since attention that is sharp in one place rounds more there.
    """
    axis = token_axis(exact.shape, spans[-1].stop)
    if axis is None or not exact.is_floating_point():
        return ()
    r, c = exact.double(), candidate.double()
    same = torch.eq(r, c) | (r.isnan() & c.isnan())
    error_T = _squares(torch.where(same, 0.0, c - r), axis)
    norm_T = _squares(torch.where(r.isfinite(), r, 0.0), axis)
    rounding_T = np.zeros_like(norm_T) if low is None else _squares((low.reshape(r.shape).double() - r), axis)
    finite = np.isfinite(rounding_T)
    worst = math.sqrt(np.max(rounding_T, initial=0.0, where=finite))
    worst_share = math.sqrt(np.max(rounding_T / np.maximum(norm_T, 1e-300), initial=0.0, where=finite))
    starts = [span.start for span in spans]
    sums = [np.sqrt(np.add.reduceat(squares, starts)) for squares in (error_T, rounding_T, norm_T)]
    found = []
    for span, error, rounding, norm in zip(spans, *(part.tolist() for part in sums), strict=True):
        usual = floor * math.sqrt(span.size / spans[-1].stop)
        of_few = min(norm * worst_share, worst) / math.sqrt(span.size)
        least = max(usual, of_few, norm * roundoff, rounding if math.isfinite(rounding) else 0.0)
        own = error if math.isfinite(error) else math.inf
        found.append(StepError(span.step, span.start, span.stop, own, least, norm))
    return tuple(found)


def _squares(tensor: torch.Tensor, axis: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sums of squares over all other axes: [T]."""
    others = [dim for dim in range(tensor.dim()) if dim != axis]
    squares = (tensor * tensor).nan_to_num(nan=math.inf, posinf=math.inf)
    return (squares.sum(others) if others else squares).cpu().numpy()
