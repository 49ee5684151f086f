"""Comparing one-dimensional weights (norms, biases), whose values are in the dump."""

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.comparison import Comparison, Layout, Value, permutation_digest, permutation_layout
from probe.align.audit.places import Place
from probe.dump import Dump, Weight
from probe.dump.dtypes import UNIT_ROUNDOFF

Numbers = NDArray[np.float64]
NEAR = 0.3
"""Relative distance below which two vectors are one weight's; unrelated ones are 1.4 apart once centred."""

RELATED = 0.5
"""Correlation from which a vector is not called unrelated; of n random numbers it has a deviation of 1 / sqrt(n)."""
PARTLY = 0.25
"""Share of numbers that are equal beside others that are far off; of unrelated ones 0.06 agree to a tenth of a
deviation."""
SURE = 4.0
"""Such deviations that make sure."""


class VectorValues:
    """The one-dimensional weights of a dump, each read once."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self._read: dict[str, Numbers | None] = {}

    def of(self, weight: Weight) -> Numbers | None:
        """float64; None where the dump has no numbers, or complex ones."""
        name = weight.tied_to or weight.name
        if name not in self._read:
            found = self._dump.weight_value(name, weight.dtype)
            is_real = found is not None and found.dtype.kind != "c"
            self._read[name] = found.reshape(-1).astype(np.float64) if found is not None and is_real else None
        return self._read[name]

    def at(self, place: Place) -> Numbers | None:
        """A place's numbers one after the other."""
        parts: list[Numbers] = []
        for weight, ranges in place.parts:
            flat = self.of(weight)
            if flat is None or (ranges and max(stop for _, stop in ranges) > len(flat)):
                return None
            parts += [flat[start:stop] for start, stop in ranges] if ranges else [flat]
        return np.concatenate(parts)


def compare_vectors(own: Numbers, other: Numbers, dtypes: tuple[str, ...]) -> Comparison:
    """What `other` is of `own`."""
    if len(other) > len(own) and not other[len(own) :].any():
        other = other[: len(own)]  # padded channels
    if len(own) != len(other):
        return Comparison(Layout.PLAIN, Value.OTHER, share=0.0)
    unit = max([2.0**-8, *(UNIT_ROUNDOFF.get(dtype, 0.0) for dtype in dtypes)])
    if np.array_equal(own, other):
        return Comparison(Layout.PLAIN, Value.EQUAL)
    size = float(np.linalg.norm(own))
    if _within(own, other, unit):
        noise = float(np.sum((own - other) ** 2)) / max(size**2, 1e-60)
        return Comparison(Layout.PLAIN, Value.EQUAL if noise < 1e-12 else Value.ROUNDED, noise=noise)
    if _is_constant(other) and not _is_constant(own):
        return Comparison(Layout.PLAIN, Value.CONSTANT, share=0.0, constant=float(other.mean()))
    shift = float(np.round(np.median(other - own), 2))
    if shift and _within(own + shift, other, unit):
        return Comparison(Layout.PLAIN, Value.OFFSET, constant=shift)
    factor = float(own @ other) / max(size**2, 1e-60)
    if factor and abs(factor - 1) > 2 * unit and _within(own * factor, other, 2 * unit):
        return Comparison(Layout.PLAIN, Value.SCALED, constant=factor)
    ranked, other_ranked = np.argsort(own, kind="stable"), np.argsort(other, kind="stable")
    if len(own) > 3 and _within(own[ranked], other[other_ranked], unit):
        order = np.empty(len(own), np.int64)
        order[ranked] = other_ranked
        layout, head_dim = permutation_layout(order)
        return Comparison(layout, Value.ROUNDED, head_dim=head_dim, digest=permutation_digest(order))
    noise = float(np.sum((own - other) ** 2)) / max(size**2, 1e-60)
    centred, other_centred = own - own.mean(), other - other.mean()
    spread = float(np.linalg.norm(centred))
    slope = float(centred @ other_centred) / max(spread**2, 1e-60)
    if len(own) > 3 and abs(slope - 1) > 2 * unit and _within(own * slope + (other - own * slope).mean(), other, unit):
        return Comparison(Layout.PLAIN, Value.SCALED, constant=slope)
    equal = np.abs(own - other) <= np.minimum(2 * unit * np.abs(own), 0.1 * own.std())
    if PARTLY < equal.mean() < 1 and np.median(np.abs(own - other)[~equal]) > NEAR * own.std():
        return Comparison(Layout.PLAIN, Value.PARTLY, share=float(equal.mean()))
    if float(np.linalg.norm(own - other)) < NEAR * spread:
        return Comparison(Layout.PLAIN, Value.PERTURBED, noise=noise)
    correlation = float(centred @ other_centred) / max(spread * float(np.linalg.norm(other_centred)), 1e-60)
    if correlation > RELATED:
        surely = len(own) > (SURE / RELATED) ** 2
        return Comparison(Layout.PLAIN, Value.PERTURBED if surely else Value.UNCLEAR, noise=noise)
    return Comparison(Layout.PLAIN, Value.OTHER, share=0.0)


def _within(own: Numbers, other: Numbers, unit: float) -> bool:
    """Whether rounding each number at relative `unit` (and once more) makes the one of the other."""
    finite = np.isfinite(own) == np.isfinite(other)
    slack = 2 * unit * np.maximum(np.abs(own), np.abs(other)) + 1e-9
    return bool(finite.all() and (np.abs(own - other)[np.isfinite(own)] <= slack[np.isfinite(own)]).all())


def _is_constant(numbers: Numbers) -> bool:
    return float(np.ptp(numbers)) <= 1e-6 * float(np.abs(numbers).max(initial=0))


def dtypes_of(weight: Weight, place: Place) -> tuple[str, ...]:
    return (weight.dtype, *(part.dtype for part, _ in place.parts))
