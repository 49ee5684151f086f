"""Are these two dumps comparable at all? Most days are lost to a wrong comparison, not to a wrong model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.align.layouts import number_kind
from probe.align.mapping import Mapping
from probe.align.pairs import kept_tokens
from probe.dump import Dump
from probe.dump.dtypes import decode
from probe.report import Status, TrustCheck

Numbers = NDArray[Any]
TOKEN_NAMES = ("input_ids", "tokens", "idx", "ids", "input_tokens", "x")


def trust(reference: Dump, candidate: Dump, mapping: Mapping) -> tuple[TrustCheck, ...]:
    """Every check that applies, in the order in which a person would ask."""
    return (
        *_complete(reference, candidate),
        *_same_inputs(reference, candidate),
        *_same_mode(reference, candidate),
        *_compared(mapping),
        *_mapping_remarks(mapping),
    )


def _complete(reference: Dump, candidate: Dump) -> Iterator[TrustCheck]:
    for name, dump in (("reference", reference), ("candidate", candidate)):
        if not dump.complete:
            message = (
                f"the {name}'s recording is unfinished ({dump.path}): only its first {len(dump.taps)} taps are there"
            )
            yield TrustCheck("complete", Status.WARN, message)


def _same_inputs(reference: Dump, candidate: Dump) -> Iterator[TrustCheck]:
    ours, theirs = _inputs(reference), _inputs(candidate)
    if not ours or not theirs:
        side = "reference" if not ours else "candidate"
        yield TrustCheck("inputs", Status.WARN, f"the {side}'s dump does not say what the model was fed")
        return
    kept = kept_tokens(reference)
    pairs = [(name, ours[name], theirs[name]) for name in ours if name in theirs]
    if not pairs:
        own, its = next(iter(ours)), next(iter(theirs))
        pairs = [(f"{own} / {its}", ours[own], theirs[its])]
    for name, mine, other in pairs:
        problem = _difference(mine, other, kept)
        if problem:
            yield TrustCheck("inputs", Status.FAIL, f"the two runs were fed different inputs: {name} {problem}")
        else:
            yield TrustCheck("inputs", Status.OK, f"{name} is the same on both sides")


def _inputs(dump: Dump) -> dict[str, Numbers]:
    return {name: decode(bits, dtype) for name, (bits, dtype) in dump.inputs().items()}


def _difference(mine: Numbers, other: Numbers, kept: NDArray[np.bool_] | None) -> str | None:
    """In words, how two inputs differ; None where they are the same tokens, flattened or without padding too."""
    flat, flat_other = mine.reshape(-1), other.reshape(-1)
    if kept is not None and kept.shape == mine.shape and flat_other.size == kept.sum() != flat.size:
        flat = mine[kept]
    if flat.size != flat_other.size:
        return f"has {flat.size} elements in the reference and {flat_other.size} in the candidate"
    if number_kind(str(flat.dtype)) == "float" or number_kind(str(flat_other.dtype)) == "float":
        near = np.allclose(flat.astype(np.float64), flat_other.astype(np.float64), rtol=1e-2, atol=1e-3, equal_nan=True)
        return None if near else f"differs by up to {np.nanmax(np.abs(flat - flat_other)):.2g}"
    unequal = np.flatnonzero(flat != flat_other)
    if not len(unequal):
        return None
    at = int(unequal[0])
    return f"differs at {len(unequal)} of {flat.size} places, first at {at}: {flat[at]} and {flat_other[at]}"


def _same_mode(reference: Dump, candidate: Dump) -> Iterator[TrustCheck]:
    for name, dump in (("reference", reference), ("candidate", candidate)):
        training = dump.environment.get("training") or []
        if training:
            which = training[0] or "the model"
            yield TrustCheck(
                "mode", Status.WARN, f"the {name} ran in train mode ({which}): dropout makes runs differ; call .eval()"
            )


def _compared(mapping: Mapping) -> Iterator[TrustCheck]:
    outputs = [pair.reference for pair in mapping.pairs if not pair.reference.is_input]
    inner = [tap for tap in (*outputs, *mapping.reference_only, *mapping.candidate_only) if tap.module]
    if outputs and (not inner or any(tap.module for tap in outputs)):
        total = len(mapping.pairs) + len(mapping.reference_only)
        yield TrustCheck(
            "compared", Status.OK, f"{len(mapping.pairs)} of the reference's {total} taps have a counterpart"
        )
    else:
        yield TrustCheck(
            "compared", Status.FAIL, "the two dumps have nothing in common: no module's output could be paired"
        )


def _mapping_remarks(mapping: Mapping) -> Iterator[TrustCheck]:
    for remark in mapping.remarks:
        yield TrustCheck("weights", Status.WARN, remark)
