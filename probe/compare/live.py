"""The live reference behind a dump: found, checked to be the recorded one, replayed, and asked what the bug is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from probe.align.mapping import Mapping
from probe.capture.weights import weight_table
from probe.diagnose.diagnosis import NOTHING_FOUND, Diagnosis, diagnose
from probe.diagnose.hypothesis import Family
from probe.dump import Dump
from probe.errors import ProbeError
from probe.locate import at_fault, findings, narrowed, places_at_fault
from probe.replay.local_error import LocalError
from probe.replay.passes import replay
from probe.report import Status, TrustCheck, WeightFinding
from probe.targets import LoadOptions, Target, load, may_load
from probe.targets.rerun import rerunning
from probe.targets.stored import StoredFile, stored_file
from probe.targets.target import RUNTIMES


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay shows."""

    checks: tuple[TrustCheck, ...]
    """Whether the reference could be replayed; if not, why. What of the candidate could not be read."""
    errors: tuple[LocalError, ...] | None = None
    diagnosis: Diagnosis = NOTHING_FOUND


def replayed(
    ours: Dump,
    theirs: Dump,
    mapping: Mapping,
    weights: Sequence[WeightFinding],
    model: nn.Module | None,
    target: Target | None,
    trust_remote_code: bool,
    families: Sequence[Family],
    progress: Callable[[str, int, int], None],
) -> Replayed:
    """What a replay shows, or why there is none."""

    def stage(what: str) -> None:
        progress(what, 0, 0)

    if model is None:
        try:
            loadable = may_load(ours, target)
        except ProbeError as error:
            message = f"{error}; {error.hint}; until then places are approximate"
            return Replayed((TrustCheck("replay", Status.WARN, message),))
        if loadable is None:
            return Replayed((TrustCheck("replay", Status.WARN, _not_loadable(ours, theirs)),))
        progress("loading the reference", 0, 0)
        environment = ours.environment
        attention = environment.get("attention") if loadable.kind == "hf" else None
        dtype = environment.get("dtype")
        model = load(loadable, LoadOptions(dtype, attention=attention, trust_remote_code=trust_remote_code)).model
    changed = _changed_weights(ours, model)
    if changed:
        raise ProbeError(
            f"the reference model is not the one that was recorded in {ours.path}: {changed}",
            hint="record the reference again, or compare without it (--no-replay)",
        )
    try:
        errors = narrowed(replay(ours, theirs, mapping, model, at_fault, stage))
    except ProbeError as error:
        return Replayed((TrustCheck("replay", Status.WARN, f"{error}; places are approximate"),))
    places, stored = places_at_fault(errors), stored_file(theirs)
    try:
        of_modules = [error for error in errors if not error.pair.reference.is_functional]
        about = stored, rerunning(theirs), families
        diagnosis = diagnose(ours, theirs, mapping, weights, model, of_modules, places, stage, *about)
    except ProbeError:  # it ran twice, but not with everything written down
        diagnosis = Diagnosis(findings(places))
    check = TrustCheck("replay", Status.OK, "the reference was replayed on the candidate's tensors")
    return Replayed((check, *_file_check(theirs, stored, diagnosis)), errors, diagnosis)


def _not_loadable(ours: Dump, theirs: Dump) -> str:
    """Why the reference's dump names no model that could be replayed, and what to do."""
    kinds = [
        target.get("kind") if isinstance(target := dump.attribute("target"), dict) else None for dump in (ours, theirs)
    ]
    if kinds[0] not in RUNTIMES:
        return (
            f"{ours.path} does not say how to load its model again: places are approximate; "
            "give --reference TARGET, or reference=model"
        )
    do = (
        "compare each of the two with the PyTorch model that they were made of"
        if kinds[1] in RUNTIMES
        else f"exchange the two: probe diff {theirs.path} {ours.path}"
    )
    return f"{ours.path} is a {kinds[0]}: run, which PyTorch alone cannot replay: places are approximate; {do}"


def _file_check(theirs: Dump, stored: StoredFile, found: Diagnosis) -> Iterator[TrustCheck]:
    """Where quantized weights should have been read from the candidate's file, and could not be."""
    if not found.unread:
        return
    weights = f"{found.unread[0]}" + (f" and {len(found.unread) - 1} more" if len(found.unread) > 1 else "")
    judged = "what multiplies by quantized weights cannot be judged without it"
    if not found.unjudged:
        judged = "that quantized weights are what is wrong cannot be told without it"
    message = f"{theirs.path}: {stored.trouble}; {judged} ({weights}). Put the file, or a link to it, beside the dump"
    yield TrustCheck("file", Status.WARN, message)


def _changed_weights(recorded: Dump, model: nn.Module) -> str | None:
    """In words, the first weight of `model` that is not as recorded."""
    if not recorded.weights:
        return None
    live = {weight.name: weight for weight in weight_table(model).weights}
    for weight in recorded.weights:
        other = live.get(weight.name)
        if other is None:
            return f"it has no weight {weight.name}"
        if other.shape != weight.shape or other.statistics.hash != weight.statistics.hash:
            return f"{weight.name} differs"
    return None
