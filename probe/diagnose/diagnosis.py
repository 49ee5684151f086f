"""From places at fault to findings: every place is examined once, while the reference is replayed."""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import nn

from probe.align.mapping import Mapping
from probe.diagnose import attention, embedding, linear, mlp, moe, norm, precision, residual, rope
from probe.diagnose.case import Audited, Case
from probe.diagnose.hypothesis import Family, Hypothesis
from probe.diagnose.merge import Part, merged, parts
from probe.diagnose.proof import proved
from probe.diagnose.search import explanations
from probe.dump import Dump
from probe.locate import findings
from probe.replay.force import Meeting
from probe.replay.local_error import LocalError
from probe.replay.passes import examine
from probe.report import Finding, WeightFinding
from probe.tap import template

FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (norm, linear, embedding, rope, attention, mlp, moe, residual, precision)
    for family in module.FAMILIES
)


def diagnose(
    reference: Dump,
    candidate: Dump,
    mapping: Mapping,
    weights: Sequence[WeightFinding],
    model: nn.Module,
    errors: Sequence[LocalError],
    places: Sequence[LocalError],
    progress: Callable[[str], None] = lambda stage: None,
) -> tuple[tuple[Finding, ...], float | None]:
    """One finding a bug, in order of execution; "unknown" where no hypothesis explains a place.

    And the part of the output's error that they explain together: see probe.diagnose.proof.
    """
    if not places:
        return (), None
    wanted = {id(place) for place in places}
    explained: dict[int, tuple[Part, ...]] = {}
    search = _Search()
    audited = {name: found for found in weights for name in found.weights if found.kind != "extra"}

    def look(meeting: Meeting, error: LocalError, rounded: torch.Tensor | None) -> None:
        if id(error) in wanted and (case := case_of(model, meeting, error, rounded, audited)) is not None:
            found = search.parts(case)
            if found:
                explained[id(error)] = found

    examine(reference, candidate, mapping, model, errors, look, progress)
    unknown = [place for place in places if id(place) not in explained]
    found = merged([part for place in places for part in explained.get(id(place), ())])
    progress("planting what was found")
    named, share = proved(reference, candidate, mapping, model, found)
    order = {place.pair.reference.name: index for index, place in enumerate(places)}
    return tuple(sorted((*named, *findings(unknown)), key=lambda one: order.get(one.span[1], len(order)))), share


class _Search:
    """What explains places, one after the other; it learns, so that a bug in all layers is searched for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Family, str], None] = {}
        """Families and causes that explained a place."""
        self._missed: Counter[str] = Counter()
        """Places of a kind that nothing explained."""

    def parts(self, case: Case) -> tuple[Part, ...]:
        found = explanations(case, [h for family, cause in self._known for h in _of(family, case) if h.cause == cause])
        kind = template(case.error.pair.reference.name)[0]
        if not found and self._missed[kind] < MOST_MISSED:
            sources = [(family, hypothesis) for family in FAMILIES for hypothesis in _of(family, case)]
            found = explanations(case, [hypothesis for _, hypothesis in sources])
            for tried in found[0] if found else ():
                family = next(family for family, hypothesis in sources if hypothesis is tried.hypothesis)
                self._known[family, tried.hypothesis.cause] = None
        self._missed[kind] += not found
        return parts(case, found) if found else ()


MOST_MISSED = 3
"""Places that repeat through the layers and stay unexplained: after so many, no more are searched."""


def _of(family: Family, case: Case) -> list[Hypothesis]:
    """A program such as the family has never seen has none of its hypotheses."""
    try:
        return list(family(case))
    except (RuntimeError, LookupError, ValueError, TypeError, ArithmeticError):
        return []


def case_of(
    model: nn.Module,
    meeting: Meeting,
    error: LocalError,
    rounded: torch.Tensor | None,
    audited: Audited,
) -> Case | None:
    """None where nothing can be tried: a computation that gives another result when it is run again."""
    exact, program = meeting.computed, meeting.program
    if meeting.candidate is None or program is None:
        return None
    candidate = torch.from_numpy(meeting.candidate.copy()).reshape(exact.shape).to(exact.device)
    kept = None if meeting.kept is None else torch.from_numpy(meeting.kept)
    low = None if rounded is None else rounded.reshape(exact.shape).to(exact.dtype)
    try:
        again = program.value(program.result)
    except (RuntimeError, IndexError, ValueError, TypeError):
        return None
    if again.shape != exact.shape or not torch.allclose(again.double(), exact.double(), 1e-9, 1e-12, equal_nan=True):
        return None
    return Case(model, error, program, exact, candidate.to(exact.dtype), low, kept, audited)
