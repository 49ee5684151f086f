"""One tap of several steps, as the tensor that it is along all their tokens."""

import numpy as np
import pytest

from probe.dump.pieces import Pieces, assembled, of_one_tap
from probe.dump.statistics import statistics
from probe.tap import Tap

STEPS = (5, 1, 1, 3)
TOKENS = sum(STEPS)
STARTS = np.cumsum((0, *STEPS))


def taps_of(arrays, dtype=None):
    return [
        Tap(
            "m:out",
            "m",
            "M",
            0,
            "out",
            step,
            0,
            a.shape,
            dtype or str(a.dtype),
            statistics(a.reshape(-1), dtype or str(a.dtype)),
        )
        for step, a in enumerate(arrays)
    ]


def joined(arrays, steps=STEPS, num_sentences=1, dtype=None):
    taps = taps_of([np.ascontiguousarray(a) for a in arrays], dtype)
    pieces = of_one_tap(taps, steps, num_sentences)
    assert isinstance(pieces, Pieces), pieces
    whole = assembled(pieces, lambda tap: np.ascontiguousarray(arrays[tap.step]))
    assert whole.shape == pieces.joined.shape
    return whole


def cut(whole, axis, steps=STEPS):
    return np.split(whole, np.cumsum(steps)[:-1], axis)


@pytest.mark.parametrize(
    ("shape", "axis"), [((2, TOKENS, 6), 1), ((2, 4, TOKENS, 6), 2), ((TOKENS, 6), 0), ((2, TOKENS), 1), ((TOKENS,), 0)]
)
def test_rows_of_the_steps_are_laid_one_after_the_other(shape, axis):
    whole = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert np.array_equal(joined(cut(whole, axis)), whole)


def test_flattened_sentences_are_laid_sentence_by_sentence():
    whole = np.random.default_rng(0).normal(size=(3, TOKENS, 6)).astype(np.float32)
    parts = [part.reshape(-1, 6) for part in cut(whole, 1)]
    assert np.array_equal(joined(parts, num_sentences=3), whole.reshape(-1, 6))


def test_rows_sorted_by_something_else_are_not_taken_for_sentences():
    parts = [np.zeros((2 * size, 6), np.float32) for size in STEPS]
    assert isinstance(of_one_tap(taps_of(parts), STEPS, 1), str)


def test_steps_of_one_token_each_lie_along_the_last_axis_but_one():
    whole = np.random.default_rng(0).normal(size=(1, 1, 4, 6)).astype(np.float32)
    assert np.array_equal(joined(cut(whole, 2, (1,) * 4), steps=(1,) * 4), whole)


def test_keys_are_taken_as_the_last_step_held_them():
    held = [np.full((1, 2, stop, 6), stop, np.float32) for stop in STARTS[1:]]
    assert np.array_equal(joined(held), held[-1])


def causal(low, shape=(1, 1, TOKENS, TOKENS)):
    return np.broadcast_to(np.triu(np.full(shape[-2:], low, np.float32), 1), shape)


@pytest.mark.parametrize("low", [float(np.finfo(np.float32).min), -np.inf])
def test_masks_are_filled_up_with_what_hides(low):
    whole = causal(low)
    parts = [part[..., :stop] for part, stop in zip(cut(whole, 2), STARTS[1:], strict=True)]
    assert np.array_equal(joined(parts), whole)


def test_a_mask_of_a_window_stands_at_the_end_of_what_was_seen():
    window = 3
    whole = causal(-np.inf).copy()
    whole[..., np.tril(np.ones((TOKENS, TOKENS), bool), -window)] = -np.inf
    parts = [part[..., :stop] for part, stop in zip(cut(whole, 2), STARTS[1:], strict=True)]
    assert np.array_equal(joined([parts[0], *(part[..., -window - part.shape[2] + 1 :] for part in parts[1:])]), whole)


def test_a_cache_of_fixed_length_is_cut_where_nothing_is_in_it_yet():
    whole = np.concatenate([causal(-np.inf), np.full((1, 1, TOKENS, 7), -np.inf, np.float32)], -1)
    assert np.array_equal(joined(cut(whole, 2)), causal(-np.inf))


def test_probabilities_and_booleans_are_filled_up_with_zeros():
    seen = np.tril(np.ones((1, 2, TOKENS, TOKENS), bool))
    probabilities = (seen / seen.sum(-1, keepdims=True)).astype(np.float32)
    for whole in (seen, probabilities):
        parts = [part[..., :stop] for part, stop in zip(cut(whole, 2), STARTS[1:], strict=True)]
        assert np.array_equal(joined(parts), whole)


def test_masks_of_bfloat16_that_hide_nothing_yet_are_filled_up_with_minus_infinity():
    parts = [np.zeros((1, 1, 1, stop), np.uint16) for stop in (1, 2, 3)]
    whole = joined(parts, steps=(1, 1, 1), dtype="bfloat16")
    assert np.array_equal(whole[0, 0], np.triu(np.full((3, 3), 0xFF80, np.uint16), 1))


def test_scores_of_other_keys_in_each_step_are_no_one_tensor():
    parts = [
        np.random.default_rng(0).normal(size=(1, 2, size, stop)) for size, stop in zip(STEPS, STARTS[1:], strict=True)
    ]
    assert isinstance(of_one_tap(taps_of(parts), STEPS, 1), str)


def test_what_the_first_step_alone_has_is_taken_as_it_is():
    encoded = np.ones((1, 7, 6), np.float32)
    pieces = of_one_tap([*taps_of([encoded]), None, None, None], STEPS, 1)
    assert isinstance(pieces, Pieces)
    assert pieces.joined.shape == (1, 7, 6)


def test_what_the_first_step_lacks_is_left_out():
    assert isinstance(of_one_tap([None, *taps_of([np.ones((1, 1, 6), np.float32)] * 3)], STEPS, 1), str)


def test_statistics_of_the_whole_are_those_of_its_pieces_together():
    whole = np.random.default_rng(0).normal(3, 2, size=(1, TOKENS, 50)).astype(np.float32)
    pieces = of_one_tap(taps_of([np.ascontiguousarray(part) for part in cut(whole, 1)]), STEPS, 1)
    measured, known = pieces.joined.statistics, statistics(whole.reshape(-1), "float32")
    for name in ("minimum", "maximum", "mean", "std", "l2"):
        assert getattr(measured, name) == pytest.approx(getattr(known, name), rel=1e-4)
