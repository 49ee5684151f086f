"""probe.diff: trust, align, replay, locate, in this order, and a Report at the end."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probe.align.mapping import Mapping, Numbers, Pair, candidate_values
from probe.align.pairs import align, kept_tokens
from probe.align.table import apply_table
from probe.dump import Dump
from probe.dump.dtypes import LARGEST
from probe.errors import ProbeError
from probe.locate import at_fault, findings, first_place, relative
from probe.metrics import BLOCK, Sums, compare, compare_blocks, compare_logits
from probe.report import Finding, OutputComparison, Place, Report, Status, TapComparison, TrustCheck, Verdict
from probe.trust import trust

if TYPE_CHECKING:
    from torch import nn

    from probe.replay import LocalError
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
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Compare two dumps, and say where the candidate first does something of its own.

    With a live `reference`, or a target in the reference's dump that may be loaded again (its own hf: target, this
    user's own py: target, or `reference_target`), the reference is replayed on the candidate's tensors; without,
    places are approximate. `table` is a mapping table (TOML) that overrides what is inferred. ProbeError where the two
    cannot be compared.
    """
    with Dump(reference_path) as ours, Dump(candidate_path) as theirs:
        mapping = align(ours, theirs)
        if table is not None:
            mapping = apply_table(Path(table), mapping, ours, theirs)
        checks = trust(ours, theirs, mapping)
        failed = next((check for check in checks if check.status is Status.FAIL), None)
        if failed:
            raise ProbeError(f"{reference_path} and {candidate_path} cannot be compared: {failed.message}", hint=_HINTS.get(failed.check))
        notes: list[str] = []
        errors: tuple[LocalError, ...] | None = None
        if replay:
            errors, replay_check = _replay(ours, theirs, mapping, reference, reference_target, trust_remote_code, progress)
            checks = (*checks, *replay_check)
        rows, output = _end_to_end(ours, theirs, mapping, errors, progress)
        first, found = (first_place(errors), findings(errors)) if errors is not None else _approximate(rows)
        if errors is not None:
            notes += [
                f"{error.pair.reference.name} was tapped at another point in the candidate: all that follows agrees"
                for error in errors
                if error.elsewhere
            ]
        return Report(
            str(reference_path),
            str(candidate_path),
            _verdict(rows, first),
            checks,
            rows,
            tuple(tap.name for tap in mapping.reference_only),
            tuple(tap.name for tap in mapping.candidate_only),
            output,
            first,
            found,
            errors is not None,
            tuple(notes),
        )


_HINTS = {
    "inputs": "feed the candidate what the reference was fed: probe dump TARGET --inputs REF.h5 -o CAND.h5",
    "compared": "is it the same model? If names and weights were both changed, give a mapping table: --map FILE.toml",
}


def _replay(
    ours: Dump,
    theirs: Dump,
    mapping: Mapping,
    model: "nn.Module | None",
    target: "Target | None",
    trust_remote_code: bool,
    progress: Progress,
) -> tuple["tuple[LocalError, ...] | None", tuple[TrustCheck, ...]]:
    """Local errors, and whether the live reference is the recorded one; without a model, why there is none."""
    from probe.replay import replay
    from probe.targets import LoadOptions, load, may_load

    if model is None:
        try:
            loadable = may_load(ours, target)
        except ProbeError as error:
            return None, (TrustCheck("replay", Status.WARN, f"{error}; {error.hint}"),)
        if loadable is None:
            message = f"{ours.path} does not say how to load its model again: places are approximate; give reference=model"
            return None, (TrustCheck("replay", Status.WARN, message),)
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
    done = replay(ours, theirs, mapping, model, at_fault, lambda stage: progress(stage, 0, 0))
    return done.errors, (TrustCheck("replay", Status.OK, "the reference was replayed on the candidate's tensors"),)


def _changed_weights(recorded: Dump, model: "nn.Module") -> str | None:
    """In words, the first weight of `model` that is not as recorded."""
    from probe.capture.weights import weight_table

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


def _end_to_end(
    ours: Dump, theirs: Dump, mapping: Mapping, errors: "tuple[LocalError, ...] | None", progress: Progress
) -> tuple[tuple[TapComparison, ...], OutputComparison | None]:
    """Metrics of every pair from the two files, and of the model's output."""
    local = {(e.pair.reference.step, e.pair.reference.name): e for e in errors or ()}
    rows: list[TapComparison] = []
    output: OutputComparison | None = None
    masks = {step: kept_tokens(ours, step) for step in ours.steps}
    for index, pair in enumerate(mapping.pairs):
        progress("comparing taps", index, len(mapping.pairs))
        kept = masks[pair.reference.step]
        sums = _pair_sums(pair, ours, theirs, kept)
        rows.append(_row(pair, sums, local.get((pair.reference.step, pair.reference.name))))
        if pair.reference.module == "" and not pair.reference.is_input and (output is None or "logits" in pair.reference.port):
            output = _output(pair, sums, ours, theirs, kept)
    return tuple(rows), output


def _pair_sums(pair: Pair, ours: Dump, theirs: Dump, kept: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None") -> Sums:
    reference, candidate = pair.reference, pair.sources[0].tap
    same_bytes = reference.statistics.hash == candidate.statistics.hash and reference.dtype == candidate.dtype
    if pair.is_plain and same_bytes and not reference.statistics.num_nan:
        return _equal_sums(pair)
    if pair.is_plain:
        blocks = zip(ours.blocks(reference, BLOCK), theirs.blocks(candidate, BLOCK), strict=True)
        return compare_blocks((_sentinels(r, reference.dtype), _sentinels(c, candidate.dtype)) for r, c in blocks)
    r, c = _both(pair, ours, theirs, kept)
    return compare(_sentinels(r, reference.dtype), _sentinels(c, candidate.dtype))


def _equal_sums(pair: Pair) -> Sums:
    """Equal hashes: the figures follow from the statistics, without reading either file."""
    s, count = pair.reference.statistics, pair.reference.num_elements - pair.reference.statistics.num_inf
    return Sums(count, 0.0, s.l2**2, s.l2**2, s.l2**2, s.mean * count if count else 0.0)


def _both(pair: Pair, ours: Dump, theirs: Dump, kept: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None") -> tuple[Numbers, Numbers]:
    """Both sides in the reference's shape; padded tokens left out where the candidate has none."""
    r, c = ours.read(pair.reference), candidate_values(pair, theirs, kept)
    return (r[kept], c[kept]) if pair.layout.unpadded and kept is not None else (r, c)


def _sentinels(numbers: Numbers, dtype: str) -> Numbers:
    """The most negative number of a dtype, which masks use for minus infinity, as minus infinity."""
    largest = LARGEST.get(dtype)
    if largest is None or not numbers.size or numbers.min() > -0.99 * largest:
        return numbers
    return np.where(numbers <= -0.99 * largest, -np.inf, numbers)


def _row(pair: Pair, sums: Sums, local: "LocalError | None") -> TapComparison:
    known = local is not None and not local.elsewhere
    return TapComparison(
        reference=pair.reference.name,
        candidate=pair.candidate_name,
        step=pair.reference.step,
        shape=pair.reference.shape,
        dtype=pair.sources[0].tap.dtype,
        max_abs=np.inf if sums.num_unequal_nonfinite else sums.max_abs,
        rel_l2=sums.rel_l2,
        nmse=sums.nmse,
        cosine=sums.cosine,
        sqnr_db=sums.sqnr_db,
        local_error=relative(local.error, local) if known else None,
        floor=relative(local.floor, local) if known else None,
        ratio=local.ratio if known else None,
        share_nonfinite=bool(sums.num_unequal_nonfinite),
    )


def _output(
    pair: Pair, sums: Sums, ours: Dump, theirs: Dump, kept: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None"
) -> OutputComparison:
    largest = np.inf if sums.num_unequal_nonfinite else sums.max_abs
    plain = OutputComparison(pair.reference.name, largest, sums.rel_l2, sums.nmse)
    vocabulary = (ours.attribute("config") or {}).get("vocab_size")
    shape = pair.reference.shape
    if "logits" not in pair.reference.port and (not shape or shape[-1] != vocabulary):
        return plain
    r, c = (side.reshape(-1, shape[-1]) for side in _both(pair, ours, theirs, kept))
    agreement = compare_logits(r, c)
    return OutputComparison(
        plain.tap, plain.max_abs, plain.rel_l2, plain.nmse, agreement.kl, agreement.argmax_match, agreement.top10_overlap
    )


APPROXIMATE = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Relative error that a run of this dtype may gather over a whole model: used only where nothing can be replayed."""


def _approximate(rows: tuple[TapComparison, ...]) -> tuple[Place | None, tuple[Finding, ...]]:
    """Without replay: the first tap whose error is far above what its dtype gathers; inherited error is not told apart."""
    for row in rows:
        limit = APPROXIMATE.get(row.dtype, 0.0)
        if row.rel_l2 > limit:
            module = row.reference.rpartition(":")[0]
            place = Place(module, row.reference, row.step, row.rel_l2, limit or 1e-300, row.rel_l2 / (limit or 1e-300))
            message = f"about here, by size alone (nothing was replayed): {row.reference} differs by {row.rel_l2:.1e} relative"
            return place, (Finding("unknown", module, (module,), ("", row.reference), message, error_before=row.rel_l2),)
    return None, ()


def _verdict(rows: tuple[TapComparison, ...], first: Place | None) -> Verdict:
    if first is not None or any(row.share_nonfinite for row in rows):
        return Verdict.DIVERGED
    return Verdict.NOISE if any(row.rel_l2 for row in rows) else Verdict.IDENTICAL
