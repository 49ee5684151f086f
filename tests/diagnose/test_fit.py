"""The least of a valley is found with few looks; a floor under it does not hide where it is."""

import math
from collections.abc import Callable

import pytest

from probe.diagnose.fit import minimum

VALLEYS: dict[str, tuple[Callable[[float], float], float]] = {
    "a floor of rounding": (lambda x: math.hypot(3 * math.log(x / 0.937), 1e-6), 0.937),
    "beside the middle of the bracket": (lambda x: math.hypot(3 * math.log(x / 0.999), 1e-9), 0.999),
    "no parabola far away": (lambda x: math.tanh(20 * abs(x - 1.234)), 1.234),
    "no number on one side": (lambda x: abs(x - 0.6) if x < 1 else math.inf, 0.6),
}


@pytest.mark.parametrize("name", VALLEYS)
def test_the_least_is_found(name: str):
    valley, where = VALLEYS[name]
    assert minimum(valley, 0.5, 2.0, logarithmic=True)[0] == pytest.approx(where, rel=1e-6)


def test_a_distance_above_a_floor_takes_few_looks():
    looked: list[float] = []

    def distance(x: float) -> float:
        looked.append(x)
        return math.hypot(2 * math.log(x / 1.1), 0.05)

    assert minimum(distance, 0.5, 2.0, logarithmic=True)[0] == pytest.approx(1.1, rel=1e-3)
    assert len(looked) <= 15
