"""Rotary tables that are taps themselves: cosines and sines of position times frequency."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from probe.diagnose.edits import is_same, with_value
from probe.diagnose.spin import Spin, spin_of
from probe.replay.program import Call, Edit, Program, Result

ARGUMENT = {"cos": 0, "sin": 0, "cos_": 0, "sin_": 0, "polar": 1}
"""Which argument holds the angles."""


@dataclass(frozen=True)
class Angles:
    """Angles, D/2 or, where each frequency stands twice, D of them for every token."""

    source: Result
    """The call that makes them: what takes them, cosines and sines, follows."""
    spin: Spin
    repeat: Callable[[torch.Tensor], torch.Tensor]
    """From the frequencies to the channels."""

    @property
    def call(self) -> Call:
        return self.source.call

    def at(self, spin: Spin) -> Edit:
        """The call with the angles of other positions or frequencies."""

        def moved(angles: torch.Tensor) -> torch.Tensor:
            return angles + self.repeat(spin.angles - self.spin.angles).to(angles.dtype)

        return lambda function, args, kwargs: with_value(function(*args, **kwargs), self.source.path, moved)


def angles(program: Program) -> list[Angles]:
    """Calls whose angles are position times frequency."""
    found: list[Angles] = []
    for call in program.calls:
        place = ARGUMENT.get(call.name)
        source = call.inputs[place] if place is not None and len(call.inputs) > place else None
        if isinstance(source, Result) and not any(is_same(source, one.source) for one in found):
            one = _angles(source, program.value(source))
            found += [one] if one is not None else []
    return found


def _angles(source: Result, values: torch.Tensor) -> Angles | None:
    if not values.is_floating_point() or values.dim() < 2 or values.shape[-1] < 2:
        return None
    for halved, repeat in _REPEATS:
        some = halved(values.double())
        if torch.equal(repeat(some), values.double()):
            spin = spin_of(torch.polar(torch.ones_like(some), some))
            return None if spin is None else Angles(source, spin, repeat)
    return None


_REPEATS: tuple[tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]], ...] = (
    (lambda x: x[..., : x.shape[-1] // 2], lambda x: torch.cat([x, x], dim=-1)),
    (lambda x: x[..., ::2], lambda x: x.repeat_interleave(2, dim=-1)),
    (lambda x: x, lambda x: x),
)
"""Halves, neighbours, or each frequency once."""
