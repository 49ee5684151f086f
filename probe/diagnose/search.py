"""Which hypotheses explain a place: each with its best value, alone or two together."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import UNFIT, Hypothesis, Plan
from probe.locate import ABOVE_FLOOR

LESS = 0.5
"""Of the error before: what explains a place leaves no more than this, however near the floor the error was."""
HELPS = 0.9
"""Of the error before: what leaves more than this is no part of an explanation of several."""
MOST_FIRST = 3
"""Hypotheses that help most, beside which others are tried."""
MOST_PARTS = 3
"""Causes at one place."""
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
    """Down to the floor of numbers as large as the candidate's, and not merely a little less than before."""
    return after <= ABOVE_FLOOR * case.error.floor * case.growth and after <= LESS * case.before


def explanations(case: Case, hypotheses: Iterable[Hypothesis]) -> list[tuple[Tried, ...]]:
    """What brings the error to the floor, best first: single causes, or else several together; may be empty.

    Of those that leave as little as the best, a cause without a fitted number comes first.
    """
    tried = sorted((fitted(case, hypothesis) for hypothesis in hypotheses), key=lambda one: one.after)
    single = [one for one in tried if explains(case, one.after)]
    least = min((one.after for one in single), default=0.0)
    single.sort(key=lambda one: (one.after > AS_GOOD * least, bool(one.hypothesis.scale), one.after))
    if single:
        return [(one,) for one in single]
    for first in [one for one in tried if one.after <= HELPS * case.before][:MOST_FIRST]:
        several = _several(case, first, [one.hypothesis for one in tried if one is not first])
        if several:
            return [several]
    return []


def _several(case: Case, first: Tried, hypotheses: Sequence[Hypothesis]) -> tuple[Tried, ...]:
    """Causes that explain together what the first does not do alone, each the best beside those before it.

    The second may be small beside the first: a wrong eps in a norm that also lacks its 1.
    """
    parts: tuple[Tried, ...] = (first,)
    while len(parts) < MOST_PARTS:
        others = _plan(parts)
        used = {part.hypothesis.cause for part in parts}
        beside = (fitted(case, one, others) for one in hypotheses if one.cause not in used)
        best = min(beside, key=lambda one: one.after, default=None)
        if best is None or best.after > LESS * parts[-1].after:
            return ()
        parts = fitted_together(case, (*parts, best))
        if explains(case, parts[-1].after):
            return parts
    return ()


def _plan(parts: Sequence[Tried]) -> Plan:
    whole = Plan()
    for part in parts:
        whole = part.plan.joined(whole)
    return whole


def fitted_together(case: Case, parts: tuple[Tried, ...]) -> tuple[Tried, ...]:
    """Values fitted anew, one after the other, until that brings no more."""
    parts = tuple(parts)
    last = math.inf
    for _ in range(6):
        for index, part in enumerate(parts):
            others = _plan((*parts[:index], *parts[index + 1 :]))
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
        except UNFIT:
            return math.inf

    distances = [distance(value) for value in hypothesis.values]
    best = min(range(len(distances)), key=distances.__getitem__)
    value, after = hypothesis.values[best], distances[best]
    if hypothesis.scale == "integer":
        value, after = whole(distance, dict(zip(hypothesis.values, distances, strict=True)))
    elif hypothesis.scale and after > 0:
        low, high = hypothesis.values[max(best - 1, 0)], hypothesis.values[min(best + 1, len(distances) - 1)]
        refined = minimum(distance, low, high, logarithmic=hypothesis.scale == "log")
        if refined[1] < after:
            value, after = simplest(distance, *refined, usual=(value, low, high), slack=case.error.floor)
    return Tried(hypothesis, value, hypothesis.plan(value), after)


def simplest(
    function: Callable[[float], float], value: float, least: float, *, usual: Sequence[float], slack: float
) -> tuple[float, float]:
    """A usual number, or else that of the fewest digits, near a minimum and no worse as far as rounding tells."""
    for rounded in (*usual, *(float(f"{value:.{digits}e}") for digits in range(5))):
        height = function(rounded)
        if height <= math.hypot(least, NO_WORSE * slack):
            return rounded, height
    return value, least


def whole(function: Callable[[int], float], known: dict[int, float]) -> tuple[int, float]:
    """Where a function with one valley is least among whole numbers, and how small it is there."""
    while True:
        values = sorted(known)
        at = min(range(len(values)), key=lambda index: known[values[index]])
        low, high = values[max(at - 1, 0)], values[min(at + 1, len(values) - 1)]
        between = {low + (high - low) * part // 8 for part in range(9)} | {values[at] - 1, values[at] + 1}
        new = {value for value in between if low <= value <= high} - known.keys()
        if not new:
            return values[at], known[values[at]]
        known = {**known, **{value: function(value) for value in new}}


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
