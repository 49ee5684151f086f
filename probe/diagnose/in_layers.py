"""The same bug in every layer of a span, as one hypothesis: what a converter does, it mostly does to all of them.

Such hypotheses are as few in a long span as in a short one.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan, planned
from probe.diagnose.tried import Tried
from probe.tap import template


def in_layers(hypotheses: Sequence[Hypothesis]) -> tuple[list[Hypothesis], list[Hypothesis]]:
    """What is alone of its kind, and of what repeats through the layers all together, once of modules of one name and
    once of any; and each of the latter by itself. Where nothing repeats, the first are all of them as they came.
    """
    kinds: dict[tuple[Any, ...], list[Hypothesis]] = defaultdict(list)
    causes: dict[tuple[Any, ...], list[Hypothesis]] = defaultdict(list)
    met: Counter[tuple[str, str]] = Counter()
    for one in hypotheses:
        plan = planned(one, one.values[0]) if one.values else None
        if plan is None:
            continue
        module = _module(one, plan)
        name, indices = template(module)
        grid = one.values if one.scale else len(one.values)
        like = one.cause, one.scale, grid, template(str(one.reference_value))[0], met[one.cause, module]
        met[one.cause, module] += 1
        causes[like].append(one)
        if indices:
            kinds[name, like].append(one)
    repeated = {id(one) for alike in kinds.values() if len(alike) > 1 for one in alike}
    whole = {tuple(map(id, alike)): alike for alike in (*causes.values(), *kinds.values()) if len(alike) > 1}
    alone = [one for one in hypotheses if id(one) not in repeated]
    return [*alone, *map(_all_of, whole.values())], [one for one in hypotheses if id(one) in repeated]


def each_layer(case: Case, parts: Sequence[Tried]) -> tuple[Tried, ...]:
    """The same with every layer's own in the place of what was tried in all; without those that change nothing here."""
    whole = tuple(one for part in parts for one in _members(part))
    if len(whole) == len(parts):
        return tuple(parts)
    made = _joined(whole).run(case)
    kept = list(whole)
    for one in whole:
        others = [other for other in kept if other is not one]
        if others and torch.equal(_joined(others).run(case), made):
            kept = others
    return tuple(kept)


def _all_of(alike: list[Hypothesis]) -> Hypothesis:
    """A value of it is a number that is fitted, or which of each one's own values is taken."""
    first = alike[0]

    def plan(value: Any) -> Plan:
        return _together([one.plan(_own(one, value)) for one in alike])

    return replace(
        first,
        plan=plan,
        message=lambda value: first.message(_own(first, value)),
        values=first.values if first.scale else tuple(range(len(first.values))),
        candidate_value=lambda value: first.candidate_value(_own(first, value)),
        usual=(),
        leaning=None,
        harmless=all(one.harmless for one in alike),
        members=tuple(alike),
    )


def _own(member: Hypothesis, value: Any) -> Any:
    return value if member.scale else member.values[value]


def _members(part: Tried) -> list[Tried]:
    own = [(one, _own(one, part.value)) for one in part.hypothesis.members]
    return [Tried(one, value, one.plan(value), part.after) for one, value in own] or [part]


def _joined(parts: Sequence[Tried]) -> Plan:
    return _together([part.plan for part in parts])


def _together(plans: Sequence[Plan]) -> Plan:
    whole = Plan()
    for plan in plans:
        whole = plan.joined(whole)
    return whole


def _module(hypothesis: Hypothesis, plan: Plan) -> str:
    return hypothesis.module or next(iter(plan.modules), "")
