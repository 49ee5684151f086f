"""What pictures show of two tensors, as data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from probe.views import (
    Axes,
    apart,
    attention_scores,
    axes,
    difference_grid,
    histogram,
    masked,
    onset,
    probabilities,
    shrunk,
    span_errors,
    token_errors,
    visible,
)

RANDOM = np.random.default_rng(0)


def test_both_sides_are_counted_in_the_same_bins():
    r, c = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0, 4.0])
    found = histogram(r, c, 4)
    assert found.edges.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.reference.tolist() == [1, 1, 1, 1]
    assert found.candidate.tolist() == [3, 0, 0, 1]


@given(arrays.arrays(np.float32, st.integers(0, 50)), st.integers(1, 20))
def test_every_finite_element_is_in_a_bin_and_every_other_is_counted(r, num_bins):
    found = histogram(r, None, num_bins)
    assert found.reference.sum() + found.num_nonfinite == r.size
    assert found.candidate is None


def test_a_range_as_wide_as_a_dtype_has_bins():
    largest = np.finfo(np.float64).max
    found = histogram(np.array([-largest, 0.0, largest]), None, 4)
    assert found.reference.tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("shape", "num_tokens", "meant"),
    [
        ((2, 16, 64), 16, Axes(1, 2, None)),
        ((16, 64), 16, Axes(0, 1, None)),
        ((2, 4, 16, 8), 16, Axes(2, 3, 1)),
        ((2, 16, 4, 8), 16, Axes(1, 3, 2)),
        ((2, 4, 16, 16), 16, Axes(2, 3, 1)),
        ((3, 5), 99, Axes(0, 1, None)),
    ],
)
def test_axes_are_told_by_the_number_of_tokens(shape, num_tokens, meant):
    assert axes(shape, num_tokens) == meant


def test_a_grid_is_the_error_of_each_cell_over_the_size_of_the_whole():
    r = np.ones((2, 4, 6, 3))
    c = r.copy()
    c[:, 1, 5, :] += 0.5
    by_head = difference_grid(r, c, rows=2, columns=1)
    assert by_head.shape == (6, 4)
    assert by_head[5, 1] == pytest.approx(0.5)
    assert by_head.sum() == pytest.approx(0.5)


def test_nan_on_one_side_alone_is_infinite_and_on_both_is_no_difference():
    r, c = np.ones((3, 2)), np.ones((3, 2))
    r[0, 0] = c[0, 0] = np.nan
    c[2, 1] = np.nan
    grid = difference_grid(r, c, 0, 1)
    assert grid[0, 0] == 0
    assert np.isinf(grid[2, 1])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
def test_shrinking_loses_no_cell_that_stands_out(num_rows, num_columns, rows, columns, place):
    grid = np.zeros((num_rows, num_columns))
    grid.flat[place % grid.size] = 1.0
    small = shrunk(grid, rows, columns)
    assert small.shape == (min(rows, num_rows), min(columns, num_columns))
    assert small.max() == 1.0
    assert small.sum() == 1.0


def test_an_error_begins_where_it_is_more_like_the_worst_than_like_the_floor():
    grid = np.abs(RANDOM.normal(0, 1e-7, (64, 8)))
    grid[17:] += 0.1
    assert onset(grid, 6e-8) == 17
    assert onset(grid[:17], 6e-8) is None
    assert onset(grid[17:], 6e-8) == 0


def test_scores_are_made_of_what_attention_was_given():
    query, key = RANDOM.normal(size=(1, 4, 5, 3)), RANDOM.normal(size=(1, 2, 6, 3))
    scores = attention_scores(query, key, 0.5)
    assert scores.shape == (1, 4, 5, 6)
    for head in range(4):
        np.testing.assert_allclose(scores[0, head], query[0, head] @ key[0, head // 2].T * 0.5)


def test_query_heads_that_share_a_key_may_have_an_axis_of_their_own():
    query, key = RANDOM.normal(size=(3, 2, 2, 5, 4)), RANDOM.normal(size=(3, 2, 6, 4))
    grouped = attention_scores(query, key, 1.0)
    flat = attention_scores(query.reshape(3, 4, 5, 4), key, 1.0)
    np.testing.assert_allclose(grouped.reshape(flat.shape), flat)
    with pytest.raises(ValueError, match="queries"):
        attention_scores(query, key[:, 0], 1.0)


def test_a_token_s_error_is_relative_to_its_own_size():
    r = np.ones((2, 3, 4))
    r[0, 1] *= 100
    c = r.copy()
    c[:, 1] += 1
    assert token_errors(r, c, 1) == pytest.approx(np.array([[0, 0.01, 0], [0, 1, 0]]))
    assert token_errors(r[0], c[0], 0) == pytest.approx(np.array([[0, 0.01, 0]]))


def test_a_token_that_is_nan_on_one_side_or_zero_in_the_reference_is_infinitely_off():
    r, c = np.ones((1, 4, 2)), np.ones((1, 4, 2))
    r[0, 0] = c[0, 0] = np.nan
    c[0, 1, 0] = np.nan
    r[0, 2] = 0
    r[0, 3] = c[0, 3] = 0
    assert token_errors(r, c, 1).tolist() == [[0, np.inf, np.inf, 0]]


def test_the_error_of_several_tokens_together_leaves_out_padding():
    r, c = RANDOM.normal(size=(2, 3, 5, 4)), RANDOM.normal(size=(2, 3, 5, 4))
    kept = np.ones((2, 5), bool)
    kept[0, :2] = False
    for mask in (None, kept):
        expected = []
        for tokens in (slice(0, 3), slice(3, 4), slice(4, 5)):
            chosen = np.ones((2, 5), bool)[:, tokens] if mask is None else mask[:, tokens]
            ours, theirs = (np.moveaxis(side, 2, 1)[:, tokens][chosen] for side in (r, c))
            expected.append(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))
        assert span_errors(r, c, 2, [0, 3, 4], mask) == pytest.approx(expected)


def test_probabilities_add_up_to_one_wherever_a_key_is_seen():
    scores = masked(RANDOM.normal(size=(3, 4)), np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool))
    found = probabilities(scores)
    assert found.sum(axis=-1) == pytest.approx([1, 1, 0])
    assert (found[0, 2:] == 0).all()


def test_a_mask_hides_by_false_or_by_a_large_negative_number_and_may_add_a_bias():
    scores, bias = np.zeros((1, 3)), np.array([[-1e38, 0.0, -2.0]])
    assert visible(bias).tolist() == [[False, True, True]]
    assert masked(scores, bias).tolist() == [[-np.inf, 0.0, -2.0]]
    assert masked(scores, visible(bias)).tolist() == [[-np.inf, 0.0, 0.0]]


def test_what_is_infinite_on_both_sides_alike_is_not_apart():
    r, c = np.array([1.0, np.inf, np.nan, 1j.imag]), np.array([3.0, np.inf, np.nan, np.nan])
    assert apart(r, c)[:3].tolist() == [2, 0, 0]
    assert np.isnan(apart(r, c)[3])
    assert apart(np.array([3j]), np.array([4 + 0j])).tolist() == [5]
