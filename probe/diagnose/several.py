"""Causes that explain a place together, where none does alone."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.tried import LESS, Tried, explains, fitted

HELPS = 0.9
"""Of the error before: what leaves more than this is no part of an explanation of several."""
MOST_FIRST = 3
"""Hypotheses that help most, beside which others are tried."""
MOST_PARTS = 3
"""Causes at one place."""
Look = Callable[[Case], Iterable[Hypothesis]]


def together(case: Case, tried: Sequence[Tried], look: Look) -> tuple[Tried, ...]:
    """What explains a place beside one of those that help most; `tried` are all, the best first. May be empty.

    `look` is asked again where one cause explains half: what only the rest shows (the token where it begins, an order
    of rows) it has not seen yet.
    """
    for first in [one for one in tried if one.after <= HELPS * case.before][:MOST_FIRST]:
        if case.is_spent:
            break
        others = [one.hypothesis for one in tried if one is not first]
        if first.after <= LESS * case.before:
            others = list(look(beside(case, (first,))))
        several = grown(case, (first,), others)
        if several:
            return several
    return ()


def beside(case: Case, parts: Sequence[Tried]) -> Case:
    """The place as it is with these causes planted; it rounds as before."""
    exact = joined(parts).run(case)
    return replace(case, exact=exact, rounded=None if case.rounded is None else case.rounded + (exact - case.exact))


def grown(case: Case, parts: tuple[Tried, ...], hypotheses: Sequence[Hypothesis]) -> tuple[Tried, ...]:
    """Causes that explain together what the first do not do alone, each the best beside those before it.

    The second may be small beside the first: a wrong eps in a norm that also lacks its 1.
    """
    while len(parts) < MOST_PARTS:
        used = {part.hypothesis.cause for part in parts}
        others = joined(parts)
        tried = (fitted(case, one, others) for one in hypotheses if one.cause not in used and not case.is_spent)
        best = min(tried, key=lambda one: one.after, default=None)
        if best is None or best.after > LESS * parts[-1].after:
            return ()
        parts = fitted_together(case, (*parts, best))
        if explains(case, parts[-1].after, joined(parts)):
            return parts
    return ()


def joined(parts: Sequence[Tried]) -> Plan:
    whole = Plan()
    for part in parts:
        whole = part.plan.joined(whole)
    return whole


def fitted_together(case: Case, parts: tuple[Tried, ...]) -> tuple[Tried, ...]:
    """Values fitted anew, one after the other, until that brings no more."""
    last = math.inf
    for _ in range(6):
        for index, part in enumerate(parts):
            others = joined((*parts[:index], *parts[index + 1 :]))
            parts = (*parts[:index], fitted(case, part.hypothesis, others), *parts[index + 1 :])
        if parts[-1].after > 0.99 * last:
            break
        last = parts[-1].after
    return tuple(Tried(part.hypothesis, part.value, part.plan, parts[-1].after) for part in parts)
