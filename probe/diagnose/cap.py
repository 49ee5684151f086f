"""c tanh(x / c) in a program, of scores or of logits: without it, or with another c."""

from dataclasses import dataclass

from probe.diagnose.edits import constant_of, instead_of_constant, operand
from probe.diagnose.hypothesis import Plan
from probe.diagnose.values import DIVIDE, MULTIPLY, bare
from probe.replay.program import Call, Program, Result

_TANH = {"tanh", "tanh_"}
SAME = 1e-3
"""Relative: how far apart the two numbers may be, one of which may stand in the code as its inverse."""


@dataclass(frozen=True)
class Cap:
    """Three calls; changed in place, so that they round as they did."""

    over: Call
    tanh: Call
    times: Call
    value: float

    def plan(self, value: float | None) -> Plan:
        """With another c; None: without a cap."""
        if value is None:
            return Plan({call: operand(call) for call in (self.over, self.tanh, self.times)})
        inside = value if self.over.name in DIVIDE else 1 / value
        return Plan(
            {
                self.over: instead_of_constant(self.over, inside),
                self.times: instead_of_constant(self.times, value),
            }
        )


def caps(program: Program) -> list[Cap]:
    return [cap for call in program.calls if (cap := _ending_with(call)) is not None]


def _ending_with(times: Call) -> Cap | None:
    value = constant_of(times) if times.name in MULTIPLY else None
    tanh = _made_by(times)
    if not value or tanh is None or tanh.name not in _TANH:
        return None
    over = _made_by(tanh)
    inside = constant_of(over) if over is not None and over.name in DIVIDE | MULTIPLY else None
    if over is None or not inside:
        return None
    limit = inside if over.name in DIVIDE else 1 / inside
    return Cap(over, tanh, times, value) if abs(limit / value - 1) < SAME else None


def _made_by(call: Call) -> Call | None:
    """What made the one tensor that a call is given, casts and numbers aside."""
    made = [value.call for given in call.inputs if isinstance(value := bare(given), Result)]
    return made[0] if len(made) == 1 else None
