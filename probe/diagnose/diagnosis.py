"""From places at fault to findings: every place is examined once, while the reference is replayed."""

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
    known: dict[tuple[Family, str], None] = {}
    audited = {name: found for found in weights for name in found.weights if found.kind != "extra"}

    def look(meeting: Meeting, error: LocalError, rounded: torch.Tensor | None) -> None:
        if id(error) in wanted and (case := case_of(model, meeting, error, rounded, audited)) is not None:
            found = _examined(case, known)
            if found:
                explained[id(error)] = found

    examine(reference, candidate, mapping, model, errors, look, progress)
    unknown = [place for place in places if id(place) not in explained]
    found = merged([part for place in places for part in explained.get(id(place), ())])
    progress("planting what was found")
    named, share = proved(reference, candidate, mapping, model, found)
    order = {place.pair.reference.name: index for index, place in enumerate(places)}
    return tuple(sorted((*named, *findings(unknown)), key=lambda one: order.get(one.span[1], len(order)))), share


def _examined(case: Case, known: dict[tuple[Family, str], None]) -> tuple[Part, ...]:
    """What explains a place: first what explained others, so that a bug in all layers is searched for once."""
    again = [h for family, cause in known for h in family(case) if h.cause == cause]
    found = explanations(case, again)
    if not found:
        sources: dict[int, Family] = {}
        hypotheses: list[Hypothesis] = []
        for family in FAMILIES:
            for hypothesis in family(case):
                sources[id(hypothesis)] = family
                hypotheses.append(hypothesis)
        found = explanations(case, hypotheses)
        for tried in found[0] if found else ():
            known[sources[id(tried.hypothesis)], tried.hypothesis.cause] = None
    return parts(case, found[0]) if found else ()


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
