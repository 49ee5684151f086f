"""One hypothesis at one place: the value that fits best, and whether that explains what the candidate gave."""

import math
from dataclasses import dataclass
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
