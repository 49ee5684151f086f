"""From places at fault to findings: every place is examined once, while the reference is replayed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from probe.align.mapping import Mapping
from probe.diagnose import scaled_later
from probe.diagnose.case import Case
from probe.diagnose.earlier import reader, tap_reader
from probe.diagnose.families import Search
from probe.diagnose.held import held
from probe.diagnose.hidden import Hidden, merged_with
from probe.diagnose.hypothesis import Family
from probe.diagnose.merge import Part, merged, moved_norms
from probe.diagnose.own_weights import own_weights
from probe.diagnose.posed import case_of
from probe.diagnose.precision import harmless
from probe.diagnose.proof import proved, rounding_left, weighed
from probe.diagnose.run_again import rerunner
from probe.diagnose.shadowed import shadowed, what_is_left
from probe.diagnose.unjudged import is_as_noise, unread
from probe.diagnose.unrounded import without_rounding
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.locate import findings
from probe.replay.local_error import LocalError
from probe.replay.meeting import Meeting
from probe.replay.passes import examine
from probe.report import Finding, WeightFinding
from probe.targets.rerun import Rerunning, nothing_rerun
from probe.targets.stored import NO_FILE, StoredFile


@dataclass(frozen=True)
class Diagnosis:
    """What the candidate does that the reference does not."""

    findings: tuple[Finding, ...] = ()
    """One a bug, in order of execution."""
    share: float | None = None
    """The part of the output's error that those at places at fault explain together: see probe.diagnose.proof."""
    beneath: tuple[LocalError, ...] = ()
    """Where the bugs begin that no norm of an error shows."""
    harmless: tuple[LocalError, ...] = ()
    """Places at fault for which honest rounding is all that there is."""
    unjudged: tuple[LocalError, ...] = ()
    """Places that only the candidate's own file could tell from honest rounding, and it cannot be read."""
    unread: tuple[str, ...] = ()
    """Weights that were to be read from it, by the reference's names."""
    notes: tuple[str, ...] = ()
    """What this input cannot show."""


NOTHING_FOUND = Diagnosis()


def diagnose(
    reference: Dump,
    candidate: Dump,
    mapping: Mapping,
    weights: Sequence[WeightFinding],
    model: nn.Module,
    errors: Sequence[LocalError],
    places: Sequence[LocalError],
    progress: Callable[[str], None] = lambda stage: None,
    stored: StoredFile = NO_FILE,
    rerunning: Rerunning = nothing_rerun,
    families: Sequence[Family] = (),
) -> Diagnosis:
    """`places` are those at fault; "unknown" where no hypothesis explains one. `stored` is the candidate's file, parts
    of which `rerunning` runs; `families` are tried after those of probe.diagnose.families."""
    rounds = UNIT_ROUNDOFF.get(candidate.dtype, 0.0) > UNIT_ROUNDOFF["float32"]
    if not places and not rounds:
        return NOTHING_FOUND
    faulty = {id(place) for place in places}
    explained: dict[int, tuple[Part, ...]] = {}
    search = Search(progress, families)
    suspects = frozenset(place.pair.reference.name for place in places)
    audited = {name: found for found in weights for name in found.weights if found.kind != "extra"}
    own = own_weights(mapping, stored.weight)
    unjudged: dict[int, LocalError] = {}
    lacking: dict[str, None] = {}
    hidden = Hidden()
    behind = {id(error): error for error in shadowed(errors, places)}

    def explained_by(case: Case) -> tuple[Part, ...]:
        return harmless(case) or held(case) or search.parts(case)

    def look(meeting: Meeting, error: LocalError, rounded: torch.Tensor | None) -> None:
        case = case_of(model, meeting, error, rounded, audited)
        if case is None:
            return
        if id(error) in behind:
            case = what_is_left(case, places, explained)
            if case is None:
                return
        elif id(error) not in faulty:
            hidden.plant(case)
            return
        open_places = {place.pair.reference.name for place in places if id(place) not in explained}
        if not any(leaf.name in open_places for leaf in case.program.leaves):
            case = replace(case, earlier=reader(candidate, mapping, meeting))
        case = replace(case, suspects=suspects, at=tap_reader(candidate, mapping, meeting), own=own)
        found = without_rounding(case, rerunner(candidate, mapping, meeting, rerunning), explained_by) or harmless(case)
        if not found and (leaves := unread(case)):
            lacking.update(dict.fromkeys(leaf.name for leaf in leaves))
            if is_as_noise(case, leaves):
                unjudged[id(error)] = error
                return
        found = found or held(case) or search.parts(case)
        if found:
            explained[id(error)] = found

    def look_low(meeting: Meeting, error: LocalError, rounded: torch.Tensor | None) -> None:
        case = case_of(model, meeting, error, rounded, audited)
        if case is not None:
            hidden.hear(case)

    def is_wanted(error: LocalError) -> bool:
        return id(error) in faulty or id(error) in behind or hidden.wants(error)

    examine(reference, candidate, mapping, model, errors, look, look_low if rounds else None, is_wanted, progress)
    places = [error for error in errors if id(error) in faulty or (id(error) in behind and id(error) in explained)]
    settled, places = scaled_later.joined(explained, places)
    unknown = [place for place in places if id(place) not in settled and id(place) not in unjudged]
    found = merged(moved_norms([part for place in places for part in settled.get(id(place), ())]))
    below = hidden.found
    found, unseen = merged_with(found, below)
    if found or unseen:
        progress("planting what was found")
    is_all = not (unknown or unjudged)
    named, share = proved(reference, candidate, mapping, model, found)
    known = (*named, *weighed(reference, candidate, mapping, model, found, unseen, is_all=is_all))
    left = rounding_left(reference, candidate, mapping, model, found, share) if is_all else ()
    order = {error.pair.reference.name: index for index, error in enumerate(errors)}
    ordered = sorted((*known, *findings(unknown), *hidden.manners), key=lambda one: order.get(one.span[1], len(order)))
    bugs = {id(place) for one in found if not one.finding.is_honest for place in one.places}
    blameless = tuple(place for place in places if id(place) in settled and id(place) not in bugs)
    return Diagnosis(
        tuple(ordered),
        share,
        tuple(one.places[0] for one in below),
        blameless,
        tuple(unjudged.values()),
        tuple(lacking),
        (*hidden.notes, *left, *search.notes),
    )
