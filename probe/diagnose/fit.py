"""Where a function of one number is least: how far what a hypothesis gives is from what the candidate has."""

import math
from collections.abc import Callable, Sequence

STEPS = 40
"""At most; where the distance grows evenly to both sides, ten are enough."""
NEAR = 4e-9
"""Of the bracket: as near as the least is looked for."""
FEWEST = 8
ALIKE = 1e-4
"""Relative: after so few steps, a valley whose three lowest points differ by less has been reached."""
NO_WORSE = 0.3
"""In floors: by so much the error may grow for a rounder number."""
GOLDEN = (3 - math.sqrt(5)) / 2


def simplest(
    function: Callable[[float], float], value: float, least: float, *, usual: Sequence[float], slack: float
) -> tuple[float, float]:
    """A usual number, or else that of the fewest digits, near a minimum and no worse as far as rounding tells."""
    for rounded in (*usual, *(float(f"{value:.{digits}e}") for digits in range(5))):
        height = function(rounded)
        if height <= math.hypot(least, NO_WORSE * slack):
            return rounded, height
    return value, least


def whole(function: Callable[[int], float], known: dict[int, float]) -> tuple[int, float]:
    """Where a function with one valley is least among whole numbers, and how small it is there."""
    while True:
        values = sorted(known)
        at = min(range(len(values)), key=lambda index: known[values[index]])
        low, high = values[max(at - 1, 0)], values[min(at + 1, len(values) - 1)]
        between = {low + (high - low) * part // 8 for part in range(9)} | {values[at] - 1, values[at] + 1}
        new = {value for value in between if low <= value <= high} - known.keys()
        if not new:
            return values[at], known[values[at]]
        known = {**known, **{value: function(value) for value in new}}


def minimum(function: Callable[[float], float], low: float, high: float, *, logarithmic: bool) -> tuple[float, float]:
    """Where a function with one valley is least between two values, and how small it is there.

    Brent's method, on the square: that of a distance is a parabola where the effect is small.
    """
    there, back = (math.log, math.exp) if logarithmic and low > 0 else (float, float)
    left, right = there(low), there(high)
    near = NEAR * (right - left)
    known: list[tuple[float, float]] = []
    """The three best, with their heights; the best first."""
    step = before = right - left
    at = left + GOLDEN * (right - left)
    for taken in range(STEPS):
        height = function(back(at))
        best = known[0] if known else (at, math.inf)
        if height <= best[1]:
            left, right = (best[0], right) if at > best[0] else (left, best[0]) if at < best[0] else (left, right)
        else:
            left, right = (left, at) if at > best[0] else (at, right)
        known = sorted([*known, (at, height)], key=lambda one: one[1])[:3]
        best = known[0]
        if right - left <= 2 * near or best[1] == 0:
            break
        if taken >= FEWEST and known[-1][1] - best[1] <= ALIKE * best[1]:
            break
        before, step = step, _to_vertex(known)
        if not (abs(step) < abs(before) / 2 and left < best[0] + step < right):
            step = GOLDEN * ((right if best[0] < (left + right) / 2 else left) - best[0])
        at = best[0] + math.copysign(max(abs(step), near), step)
    return back(known[0][0]), known[0][1]


def _to_vertex(points: Sequence[tuple[float, float]]) -> float:
    """From the first point to the lowest of the parabola through the squares of three; infinite where there is none."""
    if len(points) < 3:
        return math.inf
    (x, fx), (w, fw), (v, fv) = ((place, height**2) for place, height in points)
    one, other = (x - w) * (fx - fv), (x - v) * (fx - fw)
    denominator = 2 * (other - one)
    if not math.isfinite(denominator) or denominator == 0:
        return math.inf
    return -((x - v) * other - (x - w) * one) / denominator
