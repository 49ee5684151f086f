"""One place as the hypotheses see it: how the reference computes it from the candidate's tensors, and what it gave."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from probe.diagnose.own_weights import OwnWeight
from probe.dump.dtypes import LARGEST
from probe.replay.local_error import LocalError
from probe.replay.program import Program
from probe.report import WeightFinding
from probe.targets.stored import nothing_stored

MOST_FORWARDS = 1000.0
"""Of the reference, for one place. One layer of a decoder, all of whose insides are hidden and whose bug has no name,
takes 215 programs for single causes and 1,100 with several at once: an eighth of that where the reference has eight."""
Audited = Mapping[str, WeightFinding]
"""What the weight audit says of each of the reference's weights, by name; empty where a dump holds no weights."""


@dataclass(frozen=True, slots=True)
class Since:
    """Of a sequence of several steps: where it goes wrong."""

    step: int
    start: int
    """The first token of that step."""
    num_tokens: int
    """Of the sequence."""
    begins: tuple[int, ...]
    """The first tokens of the steps up to that one: of the first step, and of the last few."""


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
    """[B, T], or as many more dimensions as the place has: what to compare, where that is not all of it."""
    audited: Audited = field(default_factory=dict)
    suspects: frozenset[str] = frozenset()
    """Taps of the reference that are at fault, this one among them."""
    since: Since | None = None
    """The first step at fault, where the steps before are in order; None where it is no matter of decoding."""
    planted: Any = None
    """A Plan: what is known of the place already, by an earlier one; `exact` has it."""
    earlier: Callable[[], Mapping[str, torch.Tensor]] = dict
    """Reads what the candidate had at the taps before, as far as they have this place's shape.

    None where the place starts from one that nothing explains: it may be paired with another point."""

    at: Callable[[str], torch.Tensor | None] = lambda name: None
    """Reads what the candidate had at another tap of the reference; None where it has none."""

    own: OwnWeight = nothing_stored
    """Reads what the candidate has of one of the reference's weights; None where it is no file's run. Raises Lost
    where that file cannot be read again."""

    allowance: float = MOST_FORWARDS
    """Forwards of the reference that may be spent on the place."""

    @property
    def forwards(self) -> float:
        """Spent so far: runs of the program, each of which is as much of a forward as it has of the model's modules."""
        return self.program.num_runs * self._part

    @property
    def is_spent(self) -> bool:
        return self.forwards >= self.allowance

    @cached_property
    def num_modules(self) -> int:
        """Whose code computed the place."""
        return len({call.module for call in self.program.calls})

    @cached_property
    def _part(self) -> float:
        return min(1.0, self.num_modules / sum(1 for _ in self.model.modules()))

    @cached_property
    def counts(self) -> torch.Tensor:
        """Which elements are compared as numbers: such on both sides, and no padding that the candidate dropped."""
        return (self._kind(self.exact) == 0) & (self._candidate_kind == 0) & self._seen

    def distance(self, values: torch.Tensor) -> float:
        """||candidate - values|| over the elements that count; infinite for another shape.

        An element that is an infinity or a NaN on one side alone counts as much as all of the tensor. Of whole numbers
        and booleans, how many differ.
        """
        if values.shape != self.candidate.shape:
            return math.inf
        if not self.exact.is_floating_point():
            return float((self.candidate != values)[self.counts].sum())
        if self._all_count and (size := _norm(self.candidate - values)) < self._largest:
            return size
        unlike = (self._kind(values) != self._candidate_kind) & self._seen
        size = _norm((self.candidate - values)[self.counts & ~unlike])
        return math.hypot(size, self._size * math.sqrt(int(unlike.sum())))

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

    @cached_property
    def _seen(self) -> torch.Tensor:
        if self.kept is None:
            return torch.ones((), dtype=torch.bool)
        return self.kept.reshape(*self.kept.shape, *[1] * (self.exact.dim() - self.kept.dim()))

    @cached_property
    def _size(self) -> float:
        return _norm(self.candidate[self.counts]) or 1.0

    @cached_property
    def _all_count(self) -> bool:
        return bool(self.counts.all())

    @cached_property
    def _largest(self) -> float:
        """From here on it is an infinity."""
        pair = self.error.pair
        return 0.99 * min(LARGEST.get(dtype, math.inf) for dtype in (pair.sources[0].tap.dtype, pair.reference.dtype))

    @cached_property
    def _candidate_kind(self) -> torch.Tensor:
        return self._kind(self.candidate)

    def _kind(self, values: torch.Tensor) -> torch.Tensor:
        """0 of a number; 1 and -1 of an infinity, or of what the candidate's dtype has for its largest; 2 of a NaN."""
        if not values.is_floating_point():
            return torch.zeros(values.shape, dtype=torch.int8)
        kind = (values >= self._largest).to(torch.int8) - (values <= -self._largest).to(torch.int8)
        return kind.masked_fill_(values.isnan(), 2)


def _norm(values: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(values.double()))
