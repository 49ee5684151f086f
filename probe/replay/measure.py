"""One meeting measured: how far the candidate is from the exact value, and how far honest rounding would be."""

import math
from dataclasses import replace

import numpy as np
import torch

from probe.dump.dtypes import LARGEST, UNIT_ROUNDOFF
from probe.replay.by_step import Sequence, by_step
from probe.replay.choices import in_rows
from probe.replay.local_error import LocalError
from probe.replay.meeting import Meeting
from probe.replay.scratch import Scratch

CHUNK = 1 << 17
"""Elements: 1 MiB of float64, so that what is subtracted stays in the processor's cache."""
MASKED = -1e3
"""What lies below is no score: a mask made it so."""
NEAR_TIES = 32.0
"""In roundings: share of indices, chosen by comparing floating-point numbers, that near ties may flip."""


def measure(
    meeting: Meeting, low_dtype: str, scratch: Scratch | None = None, sequence: Sequence | None = None
) -> LocalError:
    """Norms over all elements that count; `scratch` holds the same taps computed in `low_dtype`, if they were.

    Of a `sequence` of several steps, those of each step too, and nothing of its padding: what that sees depends on how
    long a step is.
    """
    if sequence is None or meeting.candidate is None or meeting.compared is not meeting.kept:
        return _of_all(meeting, low_dtype, scratch)
    exact = meeting.computed.detach().cpu()
    candidate = torch.from_numpy(np.ascontiguousarray(meeting.candidate)).reshape(exact.shape)
    padding = sequence.padding(exact)
    if padding is not None:
        candidate = torch.where(padding, exact.to(candidate.dtype), candidate)
        meeting = replace(meeting, candidate=candidate.numpy())
    measured = _of_all(meeting, low_dtype, scratch)
    if not measured.error:
        return measured
    low = scratch.whole(meeting.pair.reference.name) if scratch else None
    steps = by_step(exact, candidate, low, sequence.spans, measured.floor, UNIT_ROUNDOFF.get(low_dtype, 0.0))
    return replace(measured, steps=steps)


def _of_all(meeting: Meeting, low_dtype: str, scratch: Scratch | None) -> LocalError:
    excusable = _excusable(meeting)
    if meeting.candidate is None or excusable is None or not bool(excusable.any()):
        return _measured(meeting, low_dtype, scratch)
    exact, candidate = meeting.computed.detach().cpu(), torch.from_numpy(np.ascontiguousarray(meeting.candidate))
    candidate = candidate.reshape(exact.shape)
    decided = torch.where(excusable.cpu(), exact.to(candidate.dtype), candidate)
    measured = _measured(replace(meeting, candidate=decided.numpy()), low_dtype, scratch)
    return replace(measured, excused=float((candidate.double() - decided.double()).nan_to_num().norm()))


def _excusable(meeting: Meeting) -> torch.Tensor | None:
    """Where a near tie may have made the tap what it is; None where that cannot be told, or is in every row of it."""
    exact, origin = meeting.computed.detach(), meeting.origin
    if meeting.candidate is not None and origin.choice is not None:
        indices = torch.from_numpy(np.ascontiguousarray(meeting.candidate)).reshape(exact.shape).to(exact.device)
        return origin.choice.as_good(exact, indices)
    rows = in_rows(origin.undecided, tuple(exact.shape))
    return None if rows is None or bool(rows.all()) else rows


def _measured(meeting: Meeting, low_dtype: str, scratch: Scratch | None) -> LocalError:
    name = meeting.pair.reference.name
    span_start = max(meeting.origin.taps, key=lambda place: place[0], default=(0, ""))[1]
    if meeting.candidate is None:
        norm = meeting.pair.reference.statistics.l2
        return LocalError(meeting.pair, 0.0, 0.0, norm, _least(norm, low_dtype), span_start, meeting.module)
    exact = meeting.computed.detach().cpu()
    candidate = torch.from_numpy(np.ascontiguousarray(meeting.candidate)).reshape(exact.shape)
    if not (exact.is_floating_point() or exact.is_complex()):
        return _whole_numbers(meeting, exact, candidate, scratch, span_start, low_dtype)
    if meeting.pair.reference.is_functional:
        hidden = (exact == -math.inf) & (candidate < MASKED)  # in float64 a mask's large number is minus infinity
        candidate = candidate.masked_fill(hidden, -math.inf) if candidate.is_floating_point() else candidate
    if meeting.compared is not None:
        keep = torch.from_numpy(meeting.compared)
        low = scratch.whole(name) if scratch else None
        exact, candidate = exact[keep], candidate[keep]
        lows = iter(_chunks(low.reshape(meeting.computed.shape)[keep])) if low is not None else None
    else:
        lows = scratch.chunks(name, CHUNK) if scratch else None
    largest = 0.99 * min(LARGEST.get(kind, math.inf) for kind in (meeting.pair.sources[0].tap.dtype, low_dtype))
    squares = [0.0, 0.0, 0.0]
    agree = True
    for r, c in zip(_chunks(exact), _chunks(candidate), strict=True):
        other = next(lows, None) if lows else None
        agree &= _add(squares, _real(r), _real(c), None if other is None else _real(other), largest)
    error, rounding, norm = (math.sqrt(square) for square in squares)
    floor = max(rounding, _least(norm, low_dtype, meeting.origin.terms))
    own = error if agree else math.inf
    return LocalError(meeting.pair, own, rounding, norm, floor, span_start, meeting.module, *_span(meeting))


def _span(meeting: Meeting) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(name for _, name in meeting.origin.taps), meeting.origin.modules


def _chunks(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(tensor.reshape(-1), CHUNK) if tensor.numel() else ()


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor.to(torch.complex128)).reshape(-1) if tensor.is_complex() else tensor.double()


def _add(squares: list[float], r: torch.Tensor, c: torch.Tensor, low: torch.Tensor | None, largest: float) -> bool:
    """Add ||c - r||**2, ||low - r||**2 and ||r||**2; whether the two agree where one of them is not finite.

    What both sides write for infinity, and a NaN that both have, is agreement.
    """
    sums = _squares(r, c, low)
    if all(math.isfinite(value) for value in sums) and sums[2] < largest**2:
        squares[:] = [total + value for total, value in zip(squares, sums, strict=True)]
        return True
    masks = [(x <= -largest, x >= largest, torch.isnan(x)) for x in (r, c)]
    agree = all(bool((ours == theirs).all()) for ours, theirs in zip(*masks, strict=True))
    finite = ~torch.stack([mask for side in masks for mask in side]).any(0)
    if low is not None:
        finite &= low.isfinite() & (low.abs() < largest)
    sums = _squares(r[finite], c[finite], None if low is None else low[finite])
    squares[:] = [total + value for total, value in zip(squares, sums, strict=True)]
    return agree


def _squares(r: torch.Tensor, c: torch.Tensor, low: torch.Tensor | None) -> tuple[float, float, float]:
    difference = c - r
    error = float(torch.dot(difference, difference))
    rounding = 0.0
    if low is not None:
        torch.sub(low, r, out=difference)
        rounding = float(torch.dot(difference, difference))
    return error, rounding, float(torch.dot(r, r))


def _whole_numbers(
    meeting: Meeting, exact: torch.Tensor, candidate: torch.Tensor, scratch: Scratch | None, start: str, low_dtype: str
) -> LocalError:
    """Of integers and booleans, how many differ; none may, unless they were chosen by comparing rounded numbers."""
    low = scratch.whole(meeting.pair.reference.name) if scratch else None
    if low is not None:
        low = low.reshape(exact.shape)
    if meeting.kept is not None:
        keep = torch.from_numpy(meeting.kept)
        exact, candidate, low = exact[keep], candidate[keep], None if low is None else low[keep]
    flat = exact.reshape(-1)
    unequal = float((flat != candidate.reshape(-1)).sum())
    rounding = float((flat != low.reshape(-1)).sum()) if low is not None else 0.0
    chosen = NEAR_TIES * UNIT_ROUNDOFF.get(low_dtype, 0.0) if meeting.origin.from_floats else 0.0
    floor = max(rounding, chosen * flat.numel(), 1e-9)
    count = float(flat.numel())
    return LocalError(meeting.pair, unequal, rounding, count, floor, start, meeting.module, *_span(meeting))


def _least(norm: float, low_dtype: str, terms: float = 0.0) -> float:
    """One rounding of every element, and sums added up one by one; sums of small types are kept in float32."""
    rounding = UNIT_ROUNDOFF.get(low_dtype, 0.0)
    in_sums = min(rounding, UNIT_ROUNDOFF["float32"]) * math.sqrt(terms)
    return max(norm * rounding, norm * in_sums, 1e-300)
