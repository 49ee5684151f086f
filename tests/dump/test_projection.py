"""The map behind sketches: the same for ever, and its stated error holds however the difference lies."""

import numpy as np
import pytest

from probe.compare.sketched import relative_stderr
from probe.dump.projection import projected, projection, relative_variance

NUM_SEEDS = 300
TOKENS, CHANNELS, HEAD = 16, 768, 64
DIFFERENCES = {
    "noise in one token": lambda rng: rng.standard_normal((1, CHANNELS)),
    "noise": lambda rng: rng.standard_normal((TOKENS, CHANNELS)),
    "one direction in every token": lambda rng: np.ones((TOKENS, 1)) * rng.standard_normal((1, CHANNELS)),
    "one number everywhere": lambda rng: np.ones((TOKENS, CHANNELS)),
    "one head": lambda rng: rng.standard_normal((TOKENS, 1)) * (np.arange(CHANNELS) // HEAD == 3),
    "one channel of every head": lambda rng: np.ones((TOKENS, 1)) * (np.arange(CHANNELS) % HEAD == 5),
    "a channel in 256": lambda rng: np.ones((TOKENS, 1)) * (np.arange(CHANNELS) % 256 == 5),
    "one channel": lambda rng: np.ones((TOKENS, 1)) * few(rng, 1),
    "three channels": lambda rng: np.ones((TOKENS, 1)) * few(rng, 3),
    "six channels": lambda rng: np.ones((TOKENS, 1)) * few(rng, 6),
    "a few large numbers": lambda rng: np.maximum(rng.standard_normal((1, CHANNELS)), 0) ** 5,
}


def few(rng, count):
    return np.eye(CHANNELS)[rng.choice(CHANNELS, count, replace=False)].sum(axis=0)


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_stated_error_holds_however_the_difference_lies(difference):
    """Two standard errors cover 95 % of what a normal number does; of 300 seeds 3.8 % more or less are chance."""
    rng = np.random.default_rng(0)
    squares, inside = [], 0
    for seed in range(NUM_SEEDS):
        d_TC = difference(rng)
        sketch_TK = projected(d_TC, projection(CHANNELS, 64, seed))
        estimated = float(np.linalg.norm(sketch_TK) / np.linalg.norm(d_TC))
        stated = relative_stderr(sketch_TK, 64, CHANNELS)
        assert stated < 0.1
        squares.append(estimated**2)
        inside += abs(estimated - 1) <= 2 * stated * estimated
    assert inside >= 0.93 * NUM_SEEDS
    assert np.mean(squares) == pytest.approx(1, abs=4 * np.sqrt(relative_variance(64, CHANNELS) / NUM_SEEDS))


@pytest.mark.parametrize(("num_channels", "num_projections"), [(300, 64), (256, 64), (257, 64), (100, 7), (4099, 16)])
def test_every_channel_is_seen_whatever_the_width(num_channels, num_projections):
    by = projection(num_channels, num_projections, 3)
    sketches_CK = projected(np.eye(num_channels), by)
    np.testing.assert_allclose(np.linalg.norm(sketches_CK, axis=1), 1, rtol=1e-6)


def test_no_two_channels_share_a_sketch():
    sketches_CK = np.abs(projected(np.eye(CHANNELS), projection(CHANNELS, 64, 0)))
    assert len(np.unique(np.sign(projected(np.eye(256), projection(256, 64, 0))), axis=0)) == 256
    assert sketches_CK.min() > 0


def test_a_permutation_and_a_sign_are_seen():
    x_TC = np.random.default_rng(1).standard_normal((TOKENS, CHANNELS))
    by = projection(CHANNELS, 64, 0)
    swapped = x_TC[:, np.arange(CHANNELS) ^ 1]
    turned = np.roll(x_TC, HEAD, axis=1)
    for other in (swapped, turned, -x_TC, x_TC[::-1]):
        seen = np.linalg.norm(projected(other - x_TC, by)) / np.linalg.norm(other - x_TC)
        assert 0.8 < seen < 1.2


SHIFTS = (48, 18, 48, 9)
SIGNS = [1, 1, 1, -1, -1, -1, -1, 1, -1, 1, -1, -1]
MATRIX = [-1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1, 1]


def test_the_map_is_the_same_for_ever():
    """Dumps of other versions are compared with ours."""
    by = projection(1000, 16, 0)
    assert by.shifts[:4] == SHIFTS
    assert [int(sign) for sign in by.signs[:12]] == SIGNS
    assert [round(4 * number) for number in by.matrix[0, :12]] == MATRIX
    assert projection(1000, 16, 1).shifts != by.shifts
    assert not np.array_equal(projection(1001, 16, 0).signs[:1000], by.signs)
