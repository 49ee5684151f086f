"""Which hypotheses explain a place: each with its best value, alone or two together."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.locate import ABOVE_FLOOR

LESS = 0.5
"""Of the error before: what explains a place leaves no more than this, however near the floor the error was."""
HELPS = 0.9
"""Of the error before: what leaves more than this is no part of an explanation of several."""
MOST_PARTS = 4
"""Hypotheses that help, from which pairs and triples are made."""
AS_GOOD = 1.5
"""Times what the best leaves: rounding alone makes two right explanations differ by less."""
STEPS = 40
"""Of golden section: the bracket shrinks by 0.618 a step, 4e-9 in all."""
NO_WORSE = 0.3
"""In floors: by so much the error may grow for a rounder number."""
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Tried:
    """One hypothesis with the value that fits best."""

    hypothesis: Hypothesis
    value: Any
    plan: Plan
    after: float
    """The distance that is left."""


def explains(case: Case, after: float) -> bool:
    """Down to the floor, and not merely a little less than before."""
    return after <= ABOVE_FLOOR * case.error.floor and after <= LESS * case.before


def explanations(case: Case, hypotheses: Iterable[Hypothesis]) -> list[tuple[Tried, ...]]:
    """What brings the error to the floor, best first: single causes, or else several together; may be empty.

    Of those that leave as little as the best, a cause without a fitted number comes first.
    """
    tried = sorted((fitted(case, hypothesis) for hypothesis in hypotheses), key=lambda one: one.after)
    single = [one for one in tried if explains(case, one.after)]
    least = min((one.after for one in single), default=0.0)
    single.sort(key=lambda one: (one.after > AS_GOOD * least, bool(one.hypothesis.scale), one.after))
    return [(one,) for one in single] or _several(
        case, [one for one in tried if one.after <= HELPS * case.before][:MOST_PARTS]
    )


def _several(case: Case, parts: Sequence[Tried]) -> list[tuple[Tried, ...]]:
    """Two or three hypotheses that explain together what none of them does alone."""
    for index, first in enumerate(parts):
        for second in parts[index + 1 :]:
            both = fitted_together(case, (first, second))
            if explains(case, both[-1].after):
                return [both]
    return []


def fitted_together(case: Case, parts: tuple[Tried, ...]) -> tuple[Tried, ...]:
    """Values fitted anew, one after the other, until that brings no more."""
    parts = tuple(parts)
    last = math.inf
    for _ in range(6):
        for index, part in enumerate(parts):
            others = Plan()
            for other in (*parts[:index], *parts[index + 1 :]):
                others = other.plan.joined(others)
            parts = (*parts[:index], fitted(case, part.hypothesis, others), *parts[index + 1 :])
        if parts[-1].after > 0.99 * last:
            break
        last = parts[-1].after
    return tuple(Tried(part.hypothesis, part.value, part.plan, parts[-1].after) for part in parts)


def fitted(case: Case, hypothesis: Hypothesis, others: Plan = Plan()) -> Tried:  # noqa: B008 (Plan is frozen)
    """The best of a hypothesis' values; what cannot be run at all is infinitely far off."""

    def distance(value: Any) -> float:
        try:
            return case.distance(hypothesis.plan(value).joined(others).run(case))
        except (RuntimeError, IndexError, ValueError, TypeError):
            return math.inf

    distances = [distance(value) for value in hypothesis.values]
    best = min(range(len(distances)), key=distances.__getitem__)
    value, after = hypothesis.values[best], distances[best]
    if hypothesis.scale and after > 0:
        low, high = hypothesis.values[max(best - 1, 0)], hypothesis.values[min(best + 1, len(distances) - 1)]
        refined = minimum(distance, low, high, logarithmic=hypothesis.scale == "log")
        if refined[1] < after:
            value, after = simplest(distance, *refined, slack=case.error.floor)
    return Tried(hypothesis, value, hypothesis.plan(value), after)


def simplest(function: Callable[[float], float], value: float, least: float, *, slack: float) -> tuple[float, float]:
    """The number of the fewest digits near a minimum that lies no higher than rounding can tell: 9.997e-6 is 1e-5."""
    for digits in range(1, 6):
        rounded = float(f"{value:.{digits - 1}e}")
        height = function(rounded)
        if height <= math.hypot(least, NO_WORSE * slack):
            return rounded, height
    return value, least


def minimum(function: Callable[[float], float], low: float, high: float, *, logarithmic: bool) -> tuple[float, float]:
    """Where a function with one valley is least between two values, and how small it is there; golden section."""
    there, back = (math.log, math.exp) if logarithmic and low > 0 else (float, float)
    a, b = there(low), there(high)
    left, right = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
    at_left, at_right = function(back(left)), function(back(right))
    for _ in range(STEPS):
        if at_left <= at_right:
            b, right, at_right = right, left, at_left
            left = b - GOLDEN * (b - a)
            at_left = function(back(left))
        else:
            a, left, at_left = left, right, at_right
            right = a + GOLDEN * (b - a)
            at_right = function(back(right))
    return (back(left), at_left) if at_left <= at_right else (back(right), at_right)
