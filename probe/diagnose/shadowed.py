"""Places that an earlier one at fault seems to explain, since some of its code is theirs: is that all there is?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import UNFIT, Plan
from probe.diagnose.merge import Part
from probe.diagnose.planting import Planting
from probe.diagnose.tried import explains
from probe.locate import at_fault
from probe.replay.local_error import LocalError
from probe.replay.program import Program

LITTLE = 0.1
"""Of the error before: what a fitted number leaves, where it is used further on."""


def shadowed(errors: Iterable[LocalError], places: Sequence[LocalError]) -> list[LocalError]:
    """At fault, and none of the places."""
    known = {id(place) for place in places}
    return [error for error in errors if at_fault(error) and id(error) not in known]


def what_is_left(case: Case, places: Sequence[LocalError], explained: Mapping[int, tuple[Part, ...]]) -> Case | None:
    """The case with all planted that was found at the places before it; None if that is all."""
    error = case.error
    before = [place for place in places if place.taps <= error.taps and place.code & error.code]
    found = [part.planting for place in before for part in explained.get(id(place), ())]
    if not found or any(id(place) not in explained for place in before) or any(one.wires for one in found):
        return None
    plan = _replanted(case.program, found)
    try:
        exact = plan.run(case)
    except UNFIT:
        return None
    rounded = None if case.rounded is None else case.rounded + (exact - case.exact)
    rest = replace(case, exact=exact, rounded=rounded, planted=plan)
    is_all = explains(case, rest.before, plan) or rest.before <= LITTLE * case.before
    return None if is_all else rest


def _replanted(program: Program, plantings: Sequence[Planting]) -> Plan:
    """The part of the plantings that is in a program."""
    calls = {((call.module, call.number, call.index), call.name): call for call in program.calls}
    leaves = {leaf.name: leaf for leaf in program.leaves if leaf.name}
    return Plan(
        {calls[place, name]: edit for one in plantings for place, name, edit in one.edits if (place, name) in calls},
        {leaves[name]: tensor for one in plantings for name, tensor in one.weights if name in leaves},
        taps={leaves[name]: change for one in plantings for name, change in one.taps if name in leaves},
    )
