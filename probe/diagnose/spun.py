"""Calls whose result follows from positions and frequencies, and the plan that gives them others."""

from collections.abc import Callable, Sequence
from typing import Protocol

from probe.diagnose.hypothesis import Plan
from probe.diagnose.spin import Spin
from probe.replay.program import Call, Edit


class Spun(Protocol):
    """A call whose result follows from positions and frequencies."""

    @property
    def call(self) -> Call: ...

    @property
    def spin(self) -> Spin | None: ...

    def at(self, spin: Spin) -> Edit:
        """What the call returns of other positions and frequencies."""


def respun(spun: Sequence[Spun], change: Callable[[Spin], Spin]) -> Plan:
    """All of them with other positions or frequencies."""
    return Plan({one.call: one.at(change(one.spin)) for one in spun if one.spin is not None})
