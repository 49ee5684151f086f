"""Places on whose way the candidate's own file rounds tensors to whole numbers: what is left when it does not.

Such a file says itself where it rounds, by what step and within which limits. So the part of it that leads to a place
is run again without that, from the candidate's own tensors, and compared with the reference as any other candidate is:
in float32, where every bug shows. What rounding alone did is harmless, if it rounds as it should.
"""

from collections.abc import Callable
from dataclasses import replace

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, hypotheses_of
from probe.diagnose.merge import Part, parts
from probe.diagnose.misread import misread
from probe.diagnose.mixed_up import mixed_up
from probe.diagnose.roundings import returned_otherwise, rounding, too_narrow
from probe.diagnose.run_again import Rerunner
from probe.diagnose.stored_together import all_stored
from probe.diagnose.tried import Tried, explains, fitted
from probe.targets.stored import StoredWeight

SAME = 0.1
"""Of what rounding did to the place: the file run again gives the candidate's numbers, but for sums that lie near the
middle between two whole numbers."""


def without_rounding(case: Case, rerun: Rerunner, explained: Callable[[Case], tuple[Part, ...]]) -> tuple[Part, ...]:
    """What explains a place: its roundings, its weights as they are stored, and what `explained` finds besides. Nothing
    where nothing is rounded, or nobody knows what the place is without that."""
    found = rerun(case, False)
    if found is None or case.distance(found[0]) > SAME * case.distance(found[1]):
        return ()
    _, unrounded, roundings = found
    wrong = [one for one in roundings if too_narrow(one)]
    known = [_part(case, rounding(case.candidate - unrounded, roundings, wrong))]
    left = replace(case, candidate=unrounded, own=lambda name: _unrounded_own(case, name))
    stored = all_stored(left)
    if stored is not None:
        plan = stored.plan(None)
        left = replace(left, exact=plan.run(left), planted=plan)
        known.append(_part(case, stored))
    if explains(case, left.before):
        return tuple(known)
    if not all(one.is_plain for one in roundings) and (again := rerun(case, True)):
        mended = replace(left, candidate=again[1])
        if explains(case, mended.before):
            return (_part(case, returned_otherwise(unrounded - again[1], roundings)), *known)
    more = _of_the_file(left) or explained(left)
    harmless = _part(case, rounding(case.candidate - unrounded, roundings, ()))
    return (*more, harmless, *known[1:]) if more else ()  # what is clipped is clipped since it is wrong


def _of_the_file(case: Case) -> tuple[Part, ...]:
    """What the file's own weights say is wrong with them, if that is all."""
    tried = [fitted(case, one) for family in (misread, mixed_up) for one in hypotheses_of(family, case)]
    found = [(one,) for one in tried if explains(case, one.after)]
    return parts(case, found) if found else ()


def _unrounded_own(case: Case, name: str) -> StoredWeight | None:
    own = case.own(name)
    return own and replace(own, rounding=None)


def _part(case: Case, hypothesis: Hypothesis) -> Part:
    plan = hypothesis.plan(None)
    return parts(case, [(Tried(hypothesis, None, plan, case.distance(plan.run(case))),)])[0]
