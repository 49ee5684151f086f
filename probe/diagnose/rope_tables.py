"""Rotary tables that are taps themselves: cosines and sines of position times frequency."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from probe.diagnose.spin import Spin, spin_of
from probe.replay.program import Call, Edit, Program

ARGUMENT = {"cos": 0, "sin": 0, "cos_": 0, "sin_": 0, "polar": 1}
"""Which argument holds the angles."""


@dataclass(frozen=True)
class Angles:
    """A call that is given angles; D/2 or, where each frequency stands twice, D of them for every token."""

    call: Call
    spin: Spin
    repeat: Callable[[torch.Tensor], torch.Tensor]
    """From the frequencies to the channels."""

    def at(self, spin: Spin) -> Edit:
        """The call with the angles of other positions or frequencies; others stay."""

        def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            place = ARGUMENT[self.call.name]
            angles = args[place]
            extra = spin.angles - self.spin.angles
            moved = angles + self.repeat(extra).to(angles.dtype)
            return function(*args[:place], moved, *args[place + 1 :], **kwargs)

        return edit


def angles(program: Program) -> list[Angles]:
    """Calls whose angles are position times frequency."""
    found = []
    for call in program.calls:
        place = ARGUMENT.get(call.name)
        if place is not None and len(call.inputs) > place and len(call.args) > place:
            one = _angles(call, program.value(call.inputs[place]))
            found += [one] if one is not None else []
    return found


def _angles(call: Call, values: torch.Tensor) -> Angles | None:
    if not values.is_floating_point() or values.dim() < 2 or values.shape[-1] < 2:
        return None
    for halved, repeat in _REPEATS:
        some = halved(values.double())
        if torch.equal(repeat(some), values.double()):
            spin = spin_of(torch.polar(torch.ones_like(some), some))
            return None if spin is None else Angles(call, spin, repeat)
    return None


_REPEATS: tuple[tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]], ...] = (
    (lambda x: x[..., : x.shape[-1] // 2], lambda x: torch.cat([x, x], dim=-1)),
    (lambda x: x[..., ::2], lambda x: x.repeat_interleave(2, dim=-1)),
    (lambda x: x, lambda x: x),
)
"""Halves, neighbours, or each frequency once."""
