"""What is done to attention's scores between the product and softmax: scale, cap, mask, sinks.

Scores are (..., T, S): T tokens ask, S are asked.
"""

from dataclasses import dataclass
from functools import cached_property

import torch

from probe.diagnose.core import Core
from probe.diagnose.values import DIVIDE, MULTIPLY
from probe.replay.measure import MASKED
from probe.replay.program import Call, Result, Value

_LAYOUT = {"view", "reshape", "transpose", "contiguous", "permute", "to", "float", "expand", "__getitem__", "unflatten"}


@dataclass(frozen=True)
class Scores:
    """The calls between the product and softmax, by what they do."""

    core: Core

    @cached_property
    def masks(self) -> tuple[Call, ...]:
        """Calls that put some scores far below."""
        return tuple(call for call in self.core.path if self._hides(call))

    @cached_property
    def cap(self) -> Call | None:
        return next((call for call in self.core.path if call.name in ("tanh", "tanh_")), None)

    @cached_property
    def sink(self) -> Call | None:
        """Adds scores of keys that are not there."""
        return next((call for call in self.core.path if call.name in ("cat", "concat")), None)

    @cached_property
    def scale(self) -> float:
        """The product of the plain numbers by which queries, keys and scores are multiplied."""
        path = self.core.path
        ends = [path.index(call) for call in (self.cap, *self.masks, self.sink) if call in path]
        if self.cap in path:
            ends.append(path.index(self.cap) - 1)  # x / c
        scale = float(self.core.product.kwargs.get("alpha", 1.0))
        for call in path[: max(min([*ends, len(path)]), 0)]:
            scale *= self._factor(call)
        return scale * self._factors_before(self.core.query.value) * self._factors_before(self.core.key.value)

    @cached_property
    def limit(self) -> float | None:
        """c of c tanh(x / c)."""
        path = self.core.path
        return None if self.cap is None else self._factor(path[min(path.index(self.cap) + 1, len(path) - 1)])

    @cached_property
    def hidden(self) -> torch.Tensor:
        """(..., T, S): what the masks hide; axes along which they are the same have length 1."""
        if not self.masks:
            shape = self.core.of(self.given_to(self.core.path[0] if self.core.path else self.core.softmax)).shape
            return torch.zeros(shape[-2:], dtype=torch.bool)
        hidden = self._after(self.masks[-1]) < MASKED
        for dim in range(hidden.dim() - 2):
            first = hidden.narrow(dim, 0, 1)
            hidden = first if bool((hidden == first).all()) else hidden
        return hidden

    @cached_property
    def masked_value(self) -> float:
        """What stands where something is hidden."""
        return float(self._after(self.masks[-1]).min()) if self.masks else float("-inf")

    def given_to(self, call: Call) -> Value:
        """Which of a call's arguments comes from the product."""
        before = {id(self.core.product), *(id(each) for each in self.core.path)}
        return next(value for value in call.inputs if isinstance(value, Result) and id(value.call) in before)

    def _after(self, call: Call) -> torch.Tensor:
        """What the next call on the way to softmax takes from this one."""
        following = (*self.core.path, self.core.softmax)[self.core.path.index(call) + 1]
        return self.core.of(next(v for v in following.inputs if isinstance(v, Result) and v.call is call))

    def _hides(self, call: Call) -> bool:
        value = self.given_to(call)
        before, after = self.core.of(value), self._after(call)
        return value in call.args and before.shape == after.shape and bool(((after < MASKED) & (before > MASKED)).any())

    def _factor(self, call: Call) -> float:
        """By what plain number a call multiplies; 1 if it does something else."""
        if call.name not in MULTIPLY | DIVIDE:
            return 1.0
        numbers = [float(argument) for argument in call.args if isinstance(argument, (int, float))]
        single = [self.core.of(v) for v in call.inputs if self.core.of(v).numel() == 1]
        numbers += [float(tensor) for tensor in single]
        return 1.0 if len(numbers) != 1 else numbers[0] if call.name in MULTIPLY else 1 / numbers[0]

    def _factors_before(self, value: Value) -> float:
        scale = 1.0
        while isinstance(value, Result) and value.call.name in MULTIPLY | DIVIDE | _LAYOUT:
            factor = self._factor(value.call)
            if value.call.name not in _LAYOUT and factor == 1.0:
                break
            scale, value = scale * factor, value.call.inputs[0]
        return scale
