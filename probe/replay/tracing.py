"""A replay's torch calls, written down as programs while they run."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from probe.replay.nested import changes_its_input, makes_tensors, mapped, tensors_in
from probe.replay.program import Call, Leaf, Result, Value

_ATTRIBUTE = "_probe_value"


class Tracing(TorchFunctionMode):
    """Within this block, every tensor that a torch call makes knows the calls that led to it.

    `current` says which call of which module is under way: its name, and how often it had been called before.
    """

    def __init__(self, model: nn.Module, current: Callable[[], tuple[str, int]]) -> None:
        super().__init__()
        self._current = current
        self._counts: Counter[tuple[str, int]] = Counter()
        with torch._C.DisableTorchFunction():
            weights = [(n, t, True) for n, t in model.named_parameters()]
            buffers = [(n, t, False) for n, t in model.named_buffers()]
        self._lasting = {id(tensor): Leaf(tensor, name, is_weight) for name, tensor, is_weight in (*weights, *buffers)}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            given: list[Value] = []
            call_args = tuple(self._noted(argument, given) for argument in args)
            call_kwargs = {key: self._noted(argument, given) for key, argument in kwargs.items()}
        result = func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            name = getattr(func, "__name__", "")
            if not makes_tensors(name, args, result):
                return result
            made = args[0] if changes_its_input(name) else result
            here = self._current()
            call = Call(func, call_args, call_kwargs, *here, self._counts[here], tuple(given))
            self._counts[here] += 1
            passed_on = {id(tensor) for _, tensor in tensors_in((args, kwargs))}
            for path, tensor in tensors_in(made):
                if id(tensor) not in self._lasting and (id(tensor) not in passed_on or changes_its_input(name)):
                    setattr(tensor, _ATTRIBUTE, Result(call, path))
        return result

    def value_of(self, tensor: torch.Tensor) -> Value:
        """Where a tensor comes from; what nobody computed is a constant."""
        lasting = self._lasting.get(id(tensor))
        if lasting is not None:
            return lasting
        known: Value | None = getattr(tensor, _ATTRIBUTE, None)
        return known if known is not None else Leaf(tensor.detach().clone(), "")

    def _noted(self, argument: Any, given: list[Value]) -> Any:
        """The argument with values in the place of tensors, which are also added to `given`."""

        def noted(tensor: torch.Tensor) -> Value:
            given.append(self.value_of(tensor))
            return given[-1]

        return mapped(argument, torch.Tensor, noted)


def begin_at(tensor: torch.Tensor, name: str) -> None:
    """From here on, `tensor` is a leaf: a tap. The copy outlives what the model writes into it later."""
    setattr(tensor, _ATTRIBUTE, Leaf(tensor.detach().clone(), name))
