"""What one place, or many together, say about one hypothesis with one value."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from probe.diagnose.case import Case
from probe.diagnose.evidence import NONE, Moments
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.local_error import LocalError

SURE = 6.0
"""Standard deviations: hundreds of hypotheses are asked at thousands of places."""
NEAR_ONE = 0.2
"""How far from 1 the coefficient of a hypothesis may lie."""
ENOUGH = 5.0
"""Standard deviations to be expected of a bug, so that it would be found."""
MANY = 6.0
"""Rows, and channels: the evidence of so many at least must count, if none counted more than another."""
MANY_TOSSES = 500
"""From here on the normal distribution is near enough."""
NO_CONTROL = 0.5
"""From this coefficient on, the reference's own rounding shows what the hypothesis says."""


@dataclass(frozen=True)
class Witness:
    """Without tensors: what is kept of a place."""

    cause: str
    reference_value: float | str | None
    value: float | str | None
    module: str
    message: str
    places: tuple[LocalError, ...]
    flips: Moments = NONE
    projection: Moments = NONE
    control: Moments = NONE

    @classmethod
    def of(cls, case: Case, hypothesis: Hypothesis, value: Any, plan: Plan, **moments: Moments) -> "Witness":
        names = [*(leaf.name.rpartition(".")[0] for leaf in plan.leaves), *(call.module for call in plan.edits)]
        module = hypothesis.module or next(iter([*names, case.error.module]))
        shown = hypothesis.candidate_value(value)
        message = hypothesis.message(value)
        return cls(hypothesis.cause, hypothesis.reference_value, shown, module, message, (case.error,), **moments)

    def __add__(self, other: "Witness") -> "Witness":
        return replace(
            self,
            places=self.places + tuple(place for place in other.places if place not in self.places),
            flips=self.flips + other.flips,
            projection=self.projection + other.projection,
            control=self.control + other.control,
        )

    @property
    def kind(self) -> tuple[object, ...]:
        """What is said, whatever the module."""
        return self.cause, self.reference_value, self.value

    @property
    def verdict(self) -> "Evidence | None":
        """By flips, unless what they say is too large to be true in float64; or else by projection."""
        flipped = None if _is_less(self.projection) else of_flips(self.flips)
        return flipped or _of_projection(self.projection, self.control)

    @property
    def gain(self) -> float:
        """How much of what differs the hypothesis explains: to choose between values that all are sure.

        Where two make the same elements flip, nothing tells which it is: the first, as people confuse them.
        """
        one = self.flips if of_flips(self.flips) else self.projection
        return 2 * one.de - one.dd

    @property
    def denied(self) -> bool:
        """Whether this place alone says that it does not do so."""
        flipped = self.flips
        return (flipped.dd >= MANY and flipped.coefficient < 0.5) or _is_less(self.projection)

    @property
    def needed(self) -> float:
        """Times as many tokens as there are: with those the candidate would show it, if it did so."""
        return min(_needed(self.flips), _needed(self.projection))


@dataclass(frozen=True)
class Evidence:
    """What is sure of a hypothesis."""

    coefficient: float
    stderr: float
    words: str


def together(witnesses: Iterable[Witness]) -> Witness:
    first, *others = witnesses
    for other in others:
        first += other
    return first


def of_flips(seen: Moments) -> Evidence | None:
    """Were it chance, either number would stand in half of the elements."""
    c = seen.coefficient
    if not _many(seen) or c < 1 - NEAR_ONE or (c - 0.5) < SURE * seen.stderr:
        return None
    if not _beyond_chance(round(seen.de), round(seen.dd)):
        return None
    words = f"{seen.de:.0f} of {seen.dd:.0f} elements that this would round to the other side are there"
    return Evidence(c, max(seen.stderr, 0.5 / math.sqrt(seen.dd)), words)


def _beyond_chance(heads: int, tosses: int) -> bool:
    """Whether a fair coin shows so many heads less often than a normal number lies SURE deviations above its mean."""
    least = math.erfc(SURE / math.sqrt(2)) / 2
    if tosses > MANY_TOSSES:
        return heads - tosses / 2 > SURE * math.sqrt(tosses) / 2
    return sum(math.comb(tosses, count) for count in range(heads, tosses + 1)) < math.ldexp(least, tosses)


def _is_less(seen: Moments) -> bool:
    """Whether the error lies surely less along what a hypothesis would do than it would have to."""
    return seen.coefficient + 3 * seen.stderr < 1 - NEAR_ONE


def _of_projection(seen: Moments, control: Moments) -> Evidence | None:
    c, stderr = seen.coefficient, seen.stderr
    if not _many(seen) or stderr <= 0 or abs(c - 1) > NEAR_ONE or c / stderr < SURE:
        return None
    if control.coefficient > NO_CONTROL:
        return None
    words = (
        f"the error lies {c:.2f} +- {stderr:.2f} along what this would do, "
        f"the reference's own rounding {control.coefficient:.2f}"
    )
    return Evidence(c, stderr, words)


def _needed(seen: Moments) -> float:
    """For ENOUGH standard deviations, and for MANY rows."""
    return max(ENOUGH**2 / seen.dd, MANY * seen.row_bb / seen.dd**2) if seen.dd else math.inf


def _many(seen: Moments) -> bool:
    return seen.dd > 0 and seen.dd**2 >= MANY * max(seen.row_bb, seen.channel_bb)
