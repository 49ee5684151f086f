"""One place as the hypotheses see it: how the reference computes it from the candidate's tensors, and what it gave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from probe.replay.local_error import LocalError
from probe.replay.program import Program
from probe.report import WeightFinding

Audited = Mapping[str, WeightFinding]
"""What the weight audit says of each of the reference's weights, by name; empty where a dump holds no weights."""


@dataclass(frozen=True)
class Case:
    """All tensors are float64, or whole numbers and booleans, in the reference's shape."""

    model: nn.Module
    """The reference, live."""
    error: LocalError
    program: Program
    exact: torch.Tensor
    """What the reference computes from the candidate's tensors, free of rounding."""
    candidate: torch.Tensor
    """What the candidate had."""
    rounded: torch.Tensor | None = None
    """What the reference computes in the candidate's dtype; None where that is float32 or better."""
    kept: torch.Tensor | None = None
    """[B, T]: tokens to compare, where the candidate dropped the padding."""
    audited: Audited = field(default_factory=dict)
    suspects: frozenset[str] = frozenset()
    """Taps of the reference that are at fault, this one among them."""
    earlier: Callable[[], Mapping[str, torch.Tensor]] = dict
    """Reads what the candidate had at the taps before, as far as they have this place's shape.

    None where the place starts from one that nothing explains: it may be paired with another point."""

    @cached_property
    def counts(self) -> torch.Tensor:
        """Which elements are compared: finite on both sides, and no padding that the candidate dropped."""
        counts = self.exact.isfinite() & self.candidate.isfinite()
        if self.kept is not None:
            counts &= self.kept.reshape(*self.kept.shape, *[1] * (counts.dim() - 2))
        return counts

    def distance(self, values: torch.Tensor) -> float:
        """||candidate - values|| over the elements that count; infinite where `values` has no number there.

        Of whole numbers and booleans, how many differ.
        """
        if values.shape != self.candidate.shape:
            return float("inf")
        if not self.exact.is_floating_point():
            return float((self.candidate != values)[self.counts].sum())
        difference = (self.candidate - values)[self.counts]
        size = float(torch.linalg.vector_norm(difference.double()))
        return size if size == size else float("inf")

    @cached_property
    def growth(self) -> float:
        """||candidate|| / ||exact||, 1 at least: larger numbers are rounded by more."""
        if not self.exact.is_floating_point():
            return 1.0
        sizes = [
            float(torch.linalg.vector_norm(tensor[self.counts].double())) for tensor in (self.candidate, self.exact)
        ]
        return max(1.0, sizes[0] / sizes[1]) if sizes[1] else 1.0

    @cached_property
    def before(self) -> float:
        """The distance that is to be explained."""
        return self.distance(self.exact)
