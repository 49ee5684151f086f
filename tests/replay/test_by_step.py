"""The local error of each step: B sentences, T tokens, C channels."""

import numpy as np
import pytest
import torch

from probe.dump.joined import Span
from probe.locate import ABOVE_FLOOR
from probe.replay.by_step import Sequence, by_step, token_axis

SPANS = (Span(0, 0, 5), Span(1, 5, 6), Span(2, 6, 7))
ROUNDOFF = 2.0**-24


def exact_BTC():
    return torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def measured(candidate, low=None, floor=1e-6):
    return by_step(exact_BTC(), candidate, low, SPANS, floor, ROUNDOFF)


def test_an_error_is_that_of_the_step_whose_tokens_have_it():
    candidate = exact_BTC()
    candidate[:, 6] += 0.1
    assert [(step.step, step.ratio > ABOVE_FLOOR) for step in measured(candidate)] == [
        (0, False),
        (1, False),
        (2, True),
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_on_one_side_is_an_infinite_error_of_its_step(value):
    candidate = exact_BTC()
    candidate[0, 5, 3] = value
    assert [step.error for step in measured(candidate)] == [0.0, float("inf"), 0.0]


def test_a_single_row_may_round_as_much_as_the_worst_row_does():
    low, candidate = exact_BTC(), exact_BTC()
    low[:, 2] += 1e-3
    candidate[:, 6] += 1e-3
    assert all(step.ratio < ABOVE_FLOOR for step in measured(candidate, low))
    assert measured(candidate, exact_BTC())[2].ratio > ABOVE_FLOOR


def test_tokens_lie_along_the_axis_of_their_number():
    assert [token_axis(shape, 7) for shape in ((2, 7, 7), (2, 7, 7, 4), (7, 16), (2, 7), (3, 4, 5))] == [
        1,
        2,
        0,
        1,
        None,
    ]


def test_padding_is_known_along_the_tokens():
    kept_BT = np.array([[False, *[True] * 6], [True] * 7])
    padding = Sequence(SPANS, kept_BT).padding(exact_BTC())
    assert padding.shape == (2, 7, 1)
    assert padding.squeeze(-1).nonzero().tolist() == [[0, 0]]
