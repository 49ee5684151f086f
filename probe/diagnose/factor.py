"""A value that is multiplied by another number than the reference's: which one is fitted."""

from collections.abc import Callable, Iterable
from typing import Any

from probe.diagnose.hypothesis import Hypothesis, changed
from probe.replay.program import Value

FACTORS = tuple(2.0**power for power in range(-10, 11))


def another_factor(
    cause: str,
    value: Value,
    ours: float,
    message: Callable[[Any], str],
    likely: Iterable[float] = (),
    module: str = "",
) -> Hypothesis:
    """`ours` is what the reference multiplies by already; none at all and `likely` numbers are tried beside it."""
    return Hypothesis(
        cause,
        lambda theirs: changed(value, lambda now: now * (theirs / ours)),
        message,
        tuple(sorted({1.0, *likely, *(ours * factor for factor in FACTORS)})),
        scale="log",
        reference_value=ours,
        module=module,
    )
