"""probe.diff: trust, align, replay, locate, diagnose, in this order, and a Report at the end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probe.align.audit import audit
from probe.align.whole import aligned
from probe.compare.approximate import approximate_place, arithmetic, quantized_modules
from probe.compare.gradients import compare_gradients
from probe.compare.less import next_commands, not_seen, told_by_less
from probe.compare.notes import not_in_sequence, notes
from probe.compare.rows import rows_and_output
from probe.compare.uncaptured import with_uncaptured
from probe.dump import Dump
from probe.dump.digest import digest
from probe.locate import first_place, places_at_fault
from probe.replay.local_error import LocalError
from probe.replay.repetition import relative_noise
from probe.report import Finding, Place, Report, TapComparison, Verdict
from probe.tap import Tap
from probe.trust import stop_at_failure, trust

if TYPE_CHECKING:
    from torch import nn

    from probe.diagnose.hypothesis import Family
    from probe.targets import Target

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it, of how much."""


def diff(
    reference_path: Path | str,
    candidate_path: Path | str,
    *,
    reference: "nn.Module | None" = None,
    table: Path | str | None = None,
    replay: bool = True,
    reference_target: "Target | None" = None,
    trust_remote_code: bool = False,
    trust_anyway: bool = False,
    families: "Sequence[Family]" = (),
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Compare two dumps, and say where the candidate first does something of its own.

    With a live `reference`, or a target in the reference's dump that may be loaded again (its own hf: target, this
    user's own py: target, or `reference_target`), the reference is replayed on the candidate's tensors; without,
    places are approximate, and nothing has a cause; so too with `replay=False`. `reference` is the model with the
    weights it was recorded with; what it was fed is in the dump. `trust_remote_code` lets an hf: target run code from
    its folder. `table` is a mapping table (TOML, or the name of a shipped one) that overrides what is inferred.
    `families` are hypotheses of your own, tried after those of probe.diagnose.families. `progress` is called with what
    is being done, and how much of how much (0: unknown).

    ProbeError where a file is no dump, or the two cannot be compared; with `trust_anyway` they are, if they have
    anything in common, and the doubts stand in `trust`.
    """
    with Dump(reference_path) as recorded, Dump(candidate_path) as candidate:
        whole = aligned(recorded, candidate, Path(table) if table is not None else None)
        ours, theirs, mapping = whole.reference, whole.candidate, whole.mapping
        checks = (*told_by_less(ours, theirs), *trust(ours, theirs, mapping))
        stop_at_failure(checks, f"{reference_path} and {candidate_path}", anyway=trust_anyway)
        weights = audit(ours, theirs, mapping) if ours.weights and theirs.weights else ()
        errors: tuple[LocalError, ...] | None = None
        found: tuple[Finding, ...] = ()
        explained: float | None = None
        beneath: tuple[LocalError, ...] = ()
        hidden: tuple[str, ...] = ()
        harmless: set[int] = set()
        unjudged: tuple[str, ...] = ()
        elsewhere: tuple[str, ...] = ()
        if replay and ours.detail.is_whole and theirs.detail.is_whole:
            from probe.compare.live import replayed

            live = reference, reference_target, trust_remote_code
            shown = replayed(ours, theirs, mapping, weights, *live, families, progress)
            errors, found, explained = shown.errors, shown.diagnosis.findings, shown.diagnosis.share
            checks, beneath, hidden = (*checks, *shown.checks), shown.diagnosis.beneath, shown.diagnosis.notes
            unjudged = tuple(place.pair.reference.name for place in shown.diagnosis.unjudged)
            harmless = {id(place) for place in (*shown.diagnosis.harmless, *shown.diagnosis.unjudged)}
        rows, output = rows_and_output(ours, theirs, mapping, errors or (), progress)
        judged = [row for row, pair in zip(rows, mapping.shown, strict=True) if not pair.reference.is_functional]
        is_honest = bool(found) and all(one.is_honest for one in found)
        places = [place for place in places_at_fault(errors or (), beneath) if id(place) not in harmless]
        first = None if is_honest else first_place(places)
        if errors is None:
            firm = [(row, pair) for row, pair in zip(rows, mapping.shown, strict=True) if pair.firm]
            noises = [relative_noise(pair, ours, theirs) for _, pair in firm]
            dtypes = arithmetic([pair for _, pair in firm], ours, theirs)
            told = approximate_place([row for row, _ in firm], noises, dtypes, quantized_modules(weights))
            first, found, unjudged, elsewhere = told.place, told.findings, told.unjudged, told.elsewhere
        back = compare_gradients(ours, theirs, mapping, rows, forward_diverged=first is not None)
        first, found, rows = first or back.first, (*found, *back.findings), (*rows, *back.rows)
        first, found = with_uncaptured(first, found, mapping, ours.module_taps, errors or ())
        return Report(
            reference_path=str(reference_path),
            candidate_path=str(candidate_path),
            verdict=_verdict([*judged, *back.rows], first),
            trust=checks,
            taps=rows,
            reference_only=(*_names(mapping.reference_only, mapping.functions.reference_only), *back.reference_only),
            candidate_only=(*_names(mapping.candidate_only, mapping.functions.candidate_only), *back.candidate_only),
            output=output,
            first=first,
            findings=found,
            explained=explained,
            replayed=errors is not None,
            unjudged=unjudged,
            digests=(digest(recorded), digest(candidate)),
            weights=weights,
            notes=(
                *notes(mapping, errors or (), elsewhere, whole.chosen),
                *not_seen(rows),
                *not_in_sequence(ours, theirs),
                *hidden,
                *back.notes,
            ),
            skipped=tuple((one.tap.name, one.reason) for one in mapping.skipped),
            next_commands=next_commands(ours, theirs, mapping, first),
        )


def _names(*sides: Sequence[Tap]) -> tuple[str, ...]:
    return tuple(tap.name for taps in sides for tap in taps)


def _verdict(rows: Sequence[TapComparison], first: Place | None) -> Verdict:
    if first is not None or any(row.one_sided_nonfinite for row in rows):
        return Verdict.DIVERGED
    return Verdict.NOISE if any(row.rel_l2 for row in rows) else Verdict.IDENTICAL
