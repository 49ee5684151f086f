"""Which hypotheses explain a place: each with its best value, alone or two together."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from probe.diagnose.case import Case
from probe.diagnose.fit import minimum, simplest, whole
from probe.diagnose.hypothesis import UNFIT, Hypothesis, Plan
from probe.diagnose.rounding import rounds_more
from probe.locate import ABOVE_FLOOR

LESS = 0.5
"""Of the error before: what explains a place leaves no more than this, however near the floor the error was."""
MUCH_LESS = 0.1
"""Of the error before: what rounds more than the reference does, by so much that its own rounding is a larger floor."""
HELPS = 0.9
"""Of the error before: what leaves more than this is no part of an explanation of several."""
MOST_FIRST = 3
"""Hypotheses that help most, beside which others are tried."""
MOST_PARTS = 3
"""Causes at one place."""
AS_GOOD = 1.5
"""Times what the best leaves: rounding alone makes two right explanations differ by less."""


@dataclass(frozen=True)
class Tried:
    """One hypothesis with the value that fits best."""

    hypothesis: Hypothesis
    value: Any
    plan: Plan
    after: float
    """The distance that is left."""


def explains(case: Case, after: float, plan: Plan = Plan()) -> bool:  # noqa: B008 (Plan is frozen)
    """Down to the floor of numbers as large as the candidate's, or to that of the plan; and much less than before."""
    floor = ABOVE_FLOOR * case.error.floor * case.growth
    if after <= floor:
        return after <= LESS * case.before
    return after <= MUCH_LESS * case.before and after <= floor * rounds_more(case, plan)


def explanations(case: Case, look: Callable[[Case], Iterable[Hypothesis]]) -> list[tuple[Tried, ...]]:
    """What brings the error to the floor, best first: single causes, or else several together; may be empty.

    Of those that leave as little as the best, a cause without a fitted number comes first. `look` is asked again where
    one cause explains half: what only the rest shows (the token where it begins, an order of rows) it has not seen yet.
    """
    tried = sorted((fitted(case, hypothesis) for hypothesis in look(case)), key=lambda one: one.after)
    single = [one for one in tried if explains(case, one.after, one.plan)]
    least = min((one.after for one in single), default=0.0)
    single.sort(key=lambda one: (one.after > AS_GOOD * least, bool(one.hypothesis.scale), one.after))
    if single:
        return [(one,) for one in single]
    for first in [one for one in tried if one.after <= HELPS * case.before][:MOST_FIRST]:
        others = [one.hypothesis for one in tried if one is not first]
        if first.after <= LESS * case.before:
            others = list(look(_beside(case, first)))
        several = _several(case, first, others)
        if several:
            return [several]
    return []


def _beside(case: Case, first: Tried) -> Case:
    """The place as it is with one cause planted; it rounds as before."""
    exact = first.plan.run(case)
    return replace(case, exact=exact, rounded=None if case.rounded is None else case.rounded + (exact - case.exact))


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
        if explains(case, parts[-1].after, _plan(parts)):
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
