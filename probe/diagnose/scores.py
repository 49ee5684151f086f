"""What is done to attention's scores between the product and softmax: scale, cap, mask, sinks.

Scores are (..., T, S): T tokens ask, S are asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from probe.diagnose.axes import Change
from probe.diagnose.core import Core
from probe.diagnose.values import DIVIDE, MULTIPLY
from probe.replay.program import Call, Edit, Result, Value

MASKED = -1e3
"""What lies below is no score: a mask made it so."""
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
            shape = self.core.of(self._scores_in(self.core.path[0] if self.core.path else self.core.softmax)).shape
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

    def before_softmax(self, change: Change) -> tuple[Call, Edit]:
        """Scores changed before they are masked: an edit of the first mask's call, or of what else comes next."""
        call = next(iter(self.masks), self.sink or self.core.softmax)
        return call, _given(call, self._scores_in(call), change)

    def without_sinks(self) -> tuple[Call, Edit]:
        """The sinks' call with nothing to be seen in the place of the sinks."""
        assert self.sink is not None
        keys = self.core.of(self._scores_in(self.sink)).shape[-1]

        def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            parts = [each if each.shape[-1] == keys else torch.full_like(each, float("-inf")) for each in args[0]]
            return function(parts, *args[1:], **kwargs)

        return self.sink, edit

    def remasked(self, mask: Change) -> dict[Call, Edit]:
        """`mask` is given scores of which nothing is hidden, in the place of all masks."""
        if not self.masks:
            return dict([self.before_softmax(mask)])
        edits = {call: self._open(call) for call in self.masks}
        last = edits[self.masks[-1]]
        edits[self.masks[-1]] = lambda function, args, kwargs: mask(last(function, args, kwargs))
        return edits

    def _open(self, call: Call) -> Edit:
        """A mask's call that hides nothing; what else it adds to scores stays."""
        place = call.args.index(self._scores_in(call))

        def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            made = function(*args, **kwargs)
            return torch.where(made < MASKED, args[place], made)

        return edit

    def _scores_in(self, call: Call) -> Value:
        """Which of a call's arguments comes from the product."""
        before = {id(self.core.product), *(id(each) for each in self.core.path)}
        return next(value for value in call.inputs if isinstance(value, Result) and id(value.call) in before)

    def _after(self, call: Call) -> torch.Tensor:
        """What the next call on the way to softmax takes from this one."""
        following = (*self.core.path, self.core.softmax)[self.core.path.index(call) + 1]
        return self.core.of(next(v for v in following.inputs if isinstance(v, Result) and v.call is call))

    def _hides(self, call: Call) -> bool:
        value = self._scores_in(call)
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


def _given(call: Call, value: Value, change: Change) -> Edit:
    """The call with `change` of one of its arguments, which may stand in a list."""
    place = next(i for i, a in enumerate(call.args) if a is value or (isinstance(a, (tuple, list)) and value in a))
    inner = call.args[place].index(value) if call.args[place] is not value else None

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = args[place]
        if inner is None:
            given = change(given)
        else:
            given = [change(each) if index == inner else each for index, each in enumerate(given)]
        return function(*args[:place], given, *args[place + 1 :], **kwargs)

    return edit
