"""Were both models fed the same? Token ids, positions, masks, and whatever else their forward takes.

B sentences of T tokens; a flattened or unpadded input is the same input.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.report import Status, TrustCheck
from probe.trust.fed import BothFed, Fed, Numbers, Role, fed, is_float, side_by_side
from probe.trust.masks import mask_difference, seen_keys
from probe.trust.positions import position_difference
from probe.trust.token_ids import token_difference

Kept = NDArray[np.bool_] | None


def same_inputs(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Every argument in every step that both have; what only one side was fed is asked about where it matters."""
    if not reference.inputs() or not candidate.inputs():
        side = "reference" if not reference.inputs() else "candidate"
        yield TrustCheck("inputs", Status.WARN, f"the {side}'s dump does not say what the model was fed")
        return
    for step in reference.steps:
        if step not in candidate.steps:
            continue
        when = f" in step {step}" if step else ""
        ours, theirs = fed(reference, step), fed(candidate, step)
        for side, arguments in (("reference", ours), ("candidate", theirs)):
            for argument in arguments:
                if argument.role is not Role.MASK and is_float(argument.numbers):
                    yield from _finite(argument.numbers, f"the {side}'s {argument.name}{when}")
        kept = kept_tokens(reference, step)
        for pair in side_by_side(ours, theirs):
            both = pair.reference and pair.candidate
            others = theirs if pair.reference else ours
            check = _compared(pair, kept, reference, step) if both else _one_side(pair, kept, others)
            if check and (check.status is not Status.OK or not step):
                yield TrustCheck(check.check, check.status, check.message + when)


def _finite(numbers: Numbers, what: str) -> Iterator[TrustCheck]:
    num_nan, num_inf = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    if num_nan or num_inf:
        held = " and ".join(f"{n} {kind}" for n, kind in ((num_nan, "NaN"), (num_inf, "infinite values")) if n)
        yield TrustCheck("finite", Status.FAIL, f"{what} holds {held}: nothing that follows means anything")


def _compared(pair: BothFed, kept: Kept, reference: Dump, step: int) -> TrustCheck:
    assert pair.reference is not None
    assert pair.candidate is not None
    mine, other = pair.reference.numbers, pair.candidate.numbers
    status = Status.FAIL
    if pair.role is Role.TOKENS and not is_float(mine) and not is_float(other):
        problem = token_difference(mine, other, kept, (reference.attribute("config") or {}))
    elif pair.role is Role.POSITIONS:
        status, problem = position_difference(mine, other, kept, reference, step)
    elif pair.role is Role.MASK:
        problem = mask_difference(mine, other)
    else:
        problem = difference(mine, other, kept)
    if problem is None:
        return TrustCheck("inputs", Status.OK, f"{pair.name} is the same on both sides")
    fault = "the two runs were fed different inputs: " if status is Status.FAIL else ""
    return TrustCheck("inputs", status, f"{fault}{pair.name} {problem}")


def difference(mine: Numbers, other: Numbers, kept: Kept) -> str | None:
    """In words, how two inputs differ; None where they are the same numbers, flattened or without padding too."""
    flat, flat_other = mine.reshape(-1), other.reshape(-1)
    if kept is not None and kept.shape == mine.shape and flat_other.size == kept.sum() != flat.size:
        flat = mine[kept]
    if flat.size != flat_other.size:
        return f"has {flat.size} elements in the reference and {flat_other.size} in the candidate"
    if is_float(flat) or is_float(flat_other):
        near = np.allclose(flat.astype(np.float64), flat_other.astype(np.float64), rtol=1e-2, atol=1e-3, equal_nan=True)
        return None if near else f"differs by up to {np.nanmax(np.abs(flat - flat_other)):.2g}"
    unequal = np.flatnonzero(flat != flat_other)
    if not len(unequal):
        return None
    at = int(unequal[0])
    return f"differs at {len(unequal)} of {flat.size} places, first at {at}: {flat[at]} and {flat_other[at]}"


def _one_side(pair: BothFed, kept: Kept, others: list[Fed]) -> TrustCheck | None:
    """None where the other model makes the same by itself: positions 0, 1, 2 ... and a mask that hides nothing."""
    one = pair.reference or pair.candidate
    assert one is not None
    side, other = ("reference", "candidate") if pair.reference else ("candidate", "reference")
    if pair.role is Role.POSITIONS:
        position_T = one.numbers
        expected = np.arange(position_T.shape[-1])
        if kept is not None and position_T.size == kept.sum():  # padding removed
            return None
        unusual = position_T != expected
        if kept is not None and kept.shape == position_T.shape:
            unusual = unusual & kept
        if position_T.ndim == 2 and unusual.any():
            what = "and they do not just count 0, 1, 2 ..."
            message = f"only the {side} was fed {one.name}, {what}; the {other} makes its own"
            return TrustCheck("inputs", Status.WARN, message)
    if pair.role is Role.MASK and one.numbers.ndim and not seen_keys(one.numbers).all():
        num_seen = int(seen_keys(one.numbers).sum())
        if any(other.role is Role.TOKENS and other.numbers.size == num_seen for other in others):
            return None  # padding was removed: there is nothing left to hide
        message = f"only the {side} was fed {one.name}, and it hides tokens that the {other} may see"
        return TrustCheck("inputs", Status.WARN, message)
    return None
