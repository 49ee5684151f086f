"""How far two arrays are apart: sums over blocks that stay in cache, and the numbers that follow from them.

r is the reference, c the candidate, d = c - r. Differences are taken in float32 (float64 where either side is), block
sums in that type, and sums over blocks in float64: figures are good to about six digits.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
"""Of any dtype that numpy calculates in."""
BLOCK = 1 << 16
"""Elements: 256 KiB of float32, which fits the second-level cache twice over."""

SMALLEST = 1e-18
"""Sums of squares below this are taken again in float64: single squares may have underflowed in float32."""


@dataclass(slots=True)
class Sums:
    """What one pass over two arrays leaves behind; all further figures follow from it."""

    count: int = 0
    difference_squares: float = 0.0
    reference_squares: float = 0.0
    candidate_squares: float = 0.0
    product: float = 0.0
    reference_total: float = 0.0
    max_abs: float = 0.0
    """max |d| over the places where both are finite."""
    num_unequal_nonfinite: int = 0
    """Places where one side is NaN or infinite and the other is not the same."""

    @property
    def equal(self) -> bool:
        return self.max_abs == 0 and not self.num_unequal_nonfinite

    @property
    def rel_l2(self) -> float:
        """||d|| / ||r||, dimensionless; infinite where only r is all zeros, or where a NaN is on one side alone."""
        if self.num_unequal_nonfinite:
            return math.inf
        return _ratio(math.sqrt(self.difference_squares), math.sqrt(self.reference_squares))

    @property
    def nmse(self) -> float:
        """mean(d**2) / var(r), as llama.cpp's model-conversion scripts have it; infinite like `rel_l2`."""
        if self.num_unequal_nonfinite:
            return math.inf
        if not self.count:
            return 0.0
        mean = self.reference_total / self.count
        return _ratio(self.difference_squares / self.count, max(self.reference_squares / self.count - mean * mean, 0.0))

    @property
    def cosine(self) -> float:
        """<r, c> / (||r|| ||c||): blind to scale. 1 where both are zero, NaN where one is, or values are missing."""
        if self.num_unequal_nonfinite:
            return math.nan
        norms = math.sqrt(self.reference_squares) * math.sqrt(self.candidate_squares)
        if norms == 0:
            return 1.0 if self.reference_squares == self.candidate_squares else math.nan
        return max(-1.0, min(1.0, self.product / norms))

    @property
    def sqnr_db(self) -> float:
        """20 log10(||r|| / ||d||) in decibels, as torch.ao.ns has it; infinite where the two are equal."""
        relative = self.rel_l2
        if relative == 0:
            return math.inf
        return -20 * math.log10(relative) if math.isfinite(relative) else -math.inf


@dataclass(frozen=True, slots=True)
class Known:
    """What a dump's table says of one side: all of its `count` elements are finite."""

    count: int
    l2: float
    mean: float


def _ratio(numerator: float, denominator: float) -> float:
    if numerator == 0:
        return 0.0
    return numerator / denominator if denominator else math.inf


def compare(reference: Numbers, candidate: Numbers) -> Sums:
    """Sums over two arrays of the same shape."""
    r, c = reference.reshape(-1), candidate.reshape(-1)
    return compare_blocks((r[at : at + BLOCK], c[at : at + BLOCK]) for at in range(0, len(r), BLOCK))


def compare_blocks(pairs: Iterable[tuple[Numbers, Numbers]]) -> Sums:
    """Sums over pairs of flat blocks of equal length."""
    sums = Sums()
    for reference, candidate in pairs:
        r, c = _floats(reference, candidate)
        sums.count += len(r)
        with np.errstate(all="ignore"):
            d = c - r
            squares = float(np.dot(d, d)), float(np.dot(r, r)), float(np.dot(c, c))
        if not all(SMALLEST < square < math.inf for square in squares):  # float32 under- or overflows, or NaN
            r, c, d = _finite(r, c, sums)
            squares = float(np.dot(d, d)), float(np.dot(r, r)), float(np.dot(c, c))
        if squares[0]:
            sums.max_abs = max(sums.max_abs, float(d.max()), -float(d.min()))
        sums.difference_squares += squares[0]
        sums.reference_squares += squares[1]
        sums.candidate_squares += squares[2]
        sums.product += float(np.dot(r, c))
        sums.reference_total += float(r.sum())
    return sums


def compare_known(pairs: Iterable[tuple[Numbers, Numbers]], reference: Known, candidate: Known) -> Sums:
    """As `compare_blocks`, where each side's own sums are known and finite: only the difference is left to be taken.

    <r, c> follows from ||c - r||**2 = ||r||**2 - 2 <r, c> + ||c||**2.
    """
    sums = Sums(reference.count, 0.0, reference.l2**2, candidate.l2**2)
    sums.reference_total = reference.mean * reference.count
    for r, c in (_floats(*pair) for pair in pairs):
        d = c - r
        squares = float(np.dot(d, d))
        if not SMALLEST < squares < math.inf:
            d = c.astype(np.float64) - r.astype(np.float64)
            squares = float(np.dot(d, d))
        if squares:
            sums.max_abs = max(sums.max_abs, float(d.max()), -float(d.min()))
            sums.difference_squares += squares
    sums.product = (sums.reference_squares + sums.candidate_squares - sums.difference_squares) / 2
    return sums


def _floats(reference: Numbers, candidate: Numbers) -> tuple[Numbers, Numbers]:
    """Both in the one real type in which they are compared."""
    if reference.dtype.kind == "c" or candidate.dtype.kind == "c":
        pair = [np.ascontiguousarray(x, np.complex128).view(np.float64) for x in (reference, candidate)]
        return pair[0], pair[1]
    wide = any(x.dtype == np.float64 or (x.dtype.kind in "iu" and x.itemsize > 2) for x in (reference, candidate))
    kind = np.float64 if wide else np.float32
    return reference.astype(kind, copy=False), candidate.astype(kind, copy=False)


def _finite(r: Numbers, c: Numbers, sums: Sums) -> tuple[Numbers, Numbers, Numbers]:
    """The elements that both sides have as finite numbers, in float64; counts where they disagree about the rest."""
    r, c = r.astype(np.float64), c.astype(np.float64)
    both = np.isfinite(r) & np.isfinite(c)
    same = both | (np.isnan(r) & np.isnan(c)) | (r == c)
    sums.num_unequal_nonfinite += int((~same).sum())
    r, c = r[both], c[both]
    return r, c, c - r


@dataclass(frozen=True, slots=True)
class LogitAgreement:
    """How alike two models' next-token distributions are; means over all tokens."""

    kl: float
    """KL(reference || candidate) in nats."""
    argmax_match: float
    """Share of tokens with the same most likely next token."""
    top10_overlap: float
    """Mean share of the reference's ten most likely tokens that are among the candidate's ten."""


def compare_logits(tokens: Iterable[tuple[Numbers, Numbers]]) -> LogitAgreement:
    """Of both sides' logits [V] of each token; V words of the vocabulary.

    A row that both sides have equal, NaN included, agrees; any other row with a NaN or an infinity matches nothing, and
    makes `kl` NaN.
    """
    kl, matches, overlaps = [], [], []
    for narrow in tokens:
        r, c = (x.astype(np.float64) for x in narrow)
        top = min(10, len(r))
        if np.array_equal(r, c, equal_nan=True):
            kl.append(0.0)
            matches.append(1.0)
            overlaps.append(1.0)
            continue
        if not (np.isfinite(r).all() and np.isfinite(c).all()):
            kl.append(math.nan)
            matches.append(0.0)
            overlaps.append(0.0)
            continue
        log_p, log_q = _log_softmax(r), _log_softmax(c)
        kl.append(float((np.exp(log_p) * (log_p - log_q)).sum()))
        matches.append(float(r.argmax() == c.argmax()))
        best = (set(np.argpartition(x, -top)[-top:].tolist()) for x in (r, c))
        overlaps.append(len(set.intersection(*best)) / top)
    if not kl:
        return LogitAgreement(math.nan, math.nan, math.nan)
    return LogitAgreement(max(float(np.mean(kl)), 0.0), float(np.mean(matches)), float(np.mean(overlaps)))


def _log_softmax(row: Numbers) -> Numbers:
    shifted: Numbers = row - row.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))
