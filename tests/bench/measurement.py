"""Times of several things taken in turn, so that a noisy neighbour hits them all; and one line of the table."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One measured number beside what is allowed."""

    subject: str
    """What was measured, and over what."""
    measured: str
    baseline: str
    figure: str
    """The number that counts: a ratio, or a difference with its unit."""
    allowed: str = ""
    """"" where nothing is promised."""
    kept: bool | None = None
    """Whether the number is within what is allowed; None where nothing is promised."""


def in_turn(
    repetitions: int, actions: Mapping[str, Callable[[], object]], tidy: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of every action, once a round; a round before the first warms up. `tidy` runs after each, untimed."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for repetition in range(repetitions + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken = time.perf_counter() - start
            if repetition:
                seconds[name].append(taken)
            tidy()
    return seconds


def ratio_line(subject: str, measured: list[float], baselines: list[list[float]], allowed: float | None = None) -> Line:
    """The median of `measured` over the sum of the medians of `baselines`; how the quickest runs compare stands beside.

    On a machine with other work to do the quickest runs are the ones that were left alone.
    """
    median = statistics.median(measured)
    baseline = sum(statistics.median(seconds) for seconds in baselines)
    quickest = min(measured) / sum(min(seconds) for seconds in baselines)
    ratio = median / baseline
    figure = f"{ratio:.2f} ({quickest:.2f})"
    if allowed is None:
        return Line(subject, milliseconds(median), milliseconds(baseline), figure)
    return Line(subject, milliseconds(median), milliseconds(baseline), figure, f"{allowed:g}", ratio <= allowed)


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f} ms"
