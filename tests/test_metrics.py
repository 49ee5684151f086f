"""Metrics against the plain formula in float64, and what zero, NaN, infinity and emptiness do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probe.metrics import BLOCK, Known, compare, compare_blocks, compare_known, compare_logits

FLOATS = hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1e3, 1e3, width=32))


@settings(deadline=None)
@given(FLOATS, st.integers(0, 2**32 - 1))
def test_the_figures_are_those_of_the_plain_formulas(reference, seed):
    noise = np.random.default_rng(seed).standard_normal(reference.shape).astype(np.float32)
    candidate = reference + noise
    r, c = reference.astype(np.float64), candidate.astype(np.float64)
    sums = compare(reference, candidate)
    norm = np.linalg.norm(r)
    assert sums.max_abs == pytest.approx(np.abs(c - r).max(), rel=1e-6)
    if norm > 1e-3:
        assert sums.rel_l2 == pytest.approx(np.linalg.norm(c - r) / norm, rel=1e-5)
        assert sums.sqnr_db == pytest.approx(20 * math.log10(norm / np.linalg.norm(c - r)), abs=1e-3)
        assert sums.cosine == pytest.approx(r @ c / norm / np.linalg.norm(c), abs=1e-5)
    if r.var() > max(1e-2, 1e-2 * r.mean() ** 2):  # the variance is taken from sums of squares
        assert sums.nmse == pytest.approx(((c - r) ** 2).mean() / r.var(), rel=1e-3)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-7, 1), st.integers(1, 2000))
def test_what_the_table_knows_of_each_side_gives_the_same_figures(seed, digits, length):
    generator = np.random.default_rng(seed)
    r = generator.standard_normal(length).astype(np.float32)
    c = r + (10**digits * generator.standard_normal(length)).astype(np.float32)
    known = [Known(length, float(np.linalg.norm(x.astype(float))), float(x.astype(float).mean())) for x in (r, c)]
    short, full = compare_known([(r, c)], *known), compare(r, c)
    assert short.max_abs == full.max_abs
    assert short.rel_l2 == pytest.approx(full.rel_l2, rel=1e-5)
    assert short.cosine == pytest.approx(full.cosine, abs=1e-5)
    if length > 1:
        assert short.nmse == pytest.approx(full.nmse, rel=1e-4)


def test_a_tensor_is_equal_to_itself():
    values = np.random.default_rng(0).standard_normal(3 * BLOCK + 5).astype(np.float32)
    sums = compare(values, values)
    assert sums.equal
    assert (sums.rel_l2, sums.max_abs, sums.sqnr_db) == (0, 0, math.inf)


def test_one_element_of_many_blocks_is_seen():
    reference = np.ones(3 * BLOCK, np.float32)
    candidate = reference.copy()
    candidate[-1] = 5
    assert compare(reference, candidate).max_abs == 4


def test_a_tiny_difference_does_not_underflow():
    reference = np.full(10, 1e-22, np.float32)
    assert compare(reference, 2 * reference).rel_l2 == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_on_one_side_alone_never_passes(bad):
    reference = np.ones(8, np.float32)
    candidate = reference.copy()
    candidate[3] = bad
    for pair in ((reference, candidate), (candidate, reference)):
        sums = compare(*pair)
        assert not sums.equal
        assert sums.rel_l2 == math.inf
        assert math.isnan(sums.cosine)


def test_nan_and_infinity_at_the_same_places_are_agreement_about_them():
    reference = np.array([1, np.nan, np.inf, -np.inf, 2], np.float32)
    sums = compare(reference, reference.copy())
    assert sums.equal
    assert sums.rel_l2 == 0


def test_opposite_infinities_differ():
    assert not compare(np.array([np.inf], np.float32), np.array([-np.inf], np.float32)).equal


def test_a_reference_of_zeros_is_infinitely_far_from_anything_else():
    assert compare(np.zeros(4, np.float32), np.ones(4, np.float32)).rel_l2 == math.inf
    assert compare(np.zeros(4, np.float32), np.zeros(4, np.float32)).rel_l2 == 0


def test_nothing_compared_is_no_difference_and_counts_nothing():
    sums = compare_blocks([])
    assert (sums.count, sums.rel_l2) == (0, 0)


def test_large_integers_are_told_apart():
    assert compare(np.array([2**40]), np.array([2**40 + 1])).max_abs == 1


def test_cosine_is_blind_to_scale_and_nmse_is_not():
    values = np.arange(1, 9, dtype=np.float32)
    sums = compare(values, 3 * values)
    assert sums.cosine == pytest.approx(1)
    assert sums.nmse > 1


def test_equal_logits_agree_and_shifted_ones_too():
    logits = np.random.default_rng(0).standard_normal((5, 40))
    agreement = compare_logits(zip(logits, logits + 3, strict=True))
    assert agreement.kl == pytest.approx(0, abs=1e-12)
    assert (agreement.argmax_match, agreement.top10_overlap) == (1, 1)


def test_kl_is_that_of_the_definition():
    reference, candidate = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert compare_logits(zip(reference, candidate, strict=True)).kl == pytest.approx(
        0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5)
    )


def test_logits_with_nan_match_nothing():
    good, bad = np.array([[0.0, 2.0, 1.0]]), np.array([[0.0, np.nan, 1.0]])
    assert math.isnan(compare_logits(zip(good, bad, strict=True)).kl)
    assert compare_logits(zip(good, bad, strict=True)).argmax_match == 0


def test_logits_with_nan_at_the_same_places_agree():
    bad = np.array([[0.0, np.nan, 1.0]])
    agreement = compare_logits(zip(bad, bad, strict=True))
    assert (agreement.kl, agreement.argmax_match, agreement.top10_overlap) == (0, 1, 1)
