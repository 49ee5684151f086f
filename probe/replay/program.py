"""The computation between taps as data: what a replay's torch calls did, to be run again with one of them changed.

A program is a graph of calls whose leaves are the candidate's tensors, weights and constants. Running it again costs
that span alone, whatever the model's size, and needs nothing of the module's class: an eps, a mask, an activation are
calls like any other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from probe.replay.nested import changes_its_input, mapped


@dataclass(eq=False, slots=True)
class Leaf:
    """A tensor that the span starts from."""

    tensor: torch.Tensor
    name: str
    """The tap's or the weight's name; "" of a constant."""
    is_weight: bool = False


@dataclass(eq=False, slots=True)
class Call:
    """One torch call. `args` and `kwargs` hold leaves and results in the place of tensors."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    module: str
    """The module whose own code made the call."""
    number: int
    """How often that module had been called before in this step."""
    index: int
    """How many torch calls that code had made before, in this call of the module."""
    inputs: tuple["Value", ...]
    """The values among the arguments, in order."""

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "")


@dataclass(eq=False, slots=True)
class Result:
    """One tensor of what a call returned."""

    call: Call
    path: tuple[Any, ...] = ()
    """Index in nested tuples, lists and dicts; () where the call returned the tensor itself."""


Value = Leaf | Result
Edit = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""Given a call's function and the arguments as they now are, what it returns instead."""


@dataclass(frozen=True)
class Program:
    """All calls that lead to one value."""

    result: Value
    _values: dict[int, Any] = field(default_factory=dict, repr=False)
    _made: list[int] = field(default_factory=lambda: [0], repr=False)

    @property
    def num_runs(self) -> float:
        """What was run so far, in runs of all its calls."""
        return self._made[0] / max(1, len(self.calls))

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """In order of execution."""
        found: dict[int, Call] = {}
        stack: list[tuple[Value, bool]] = [(self.result, False)]
        while stack:
            value, is_ready = stack.pop()
            if isinstance(value, Leaf) or (id(value.call) in found and not is_ready):
                continue
            if is_ready:
                found.setdefault(id(value.call), value.call)
            else:
                stack.append((value, True))
                stack += [(inner, False) for inner in reversed(value.call.inputs)]
        return tuple(found.values())

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        inputs = [self.result, *(value for call in self.calls for value in call.inputs)]
        return tuple({id(value): value for value in inputs if isinstance(value, Leaf)}.values())

    def value(self, value: Value) -> torch.Tensor:
        """What the unchanged program has there; all values are kept until the program goes."""
        if not self._values:
            for call in self.calls:
                self._values[id(call)] = _execute(call, self._values, {}, None)
        return _look(value, self._values, {})

    def run(self, edits: Mapping[Call, Edit], leaves: Mapping[Leaf, torch.Tensor] | None = None) -> torch.Tensor:
        """The result with some calls answered by their edits and some leaves replaced; only what depends is run."""
        self.value(self.result)
        replaced = {id(leaf): tensor for leaf, tensor in (leaves or {}).items()}
        values, num_made = dict(self._values), 0
        touched = set(replaced)
        for call in self.calls:
            edit, depends = edits.get(call), any(_key(value) in touched for value in call.inputs)
            if edit is not None and not depends and not changes_its_input(call.name):
                edit = _sparing(edit, self._values[id(call)])
            if edit is not None or depends:
                values[id(call)] = _execute(call, values, replaced, edit)
                touched.add(id(call))
                num_made += 1
        self._made[0] += num_made
        return _look(self.result, values, replaced)

    def run_anew(self, edits: Mapping[Call, Edit], leaves: Mapping[Leaf, torch.Tensor]) -> torch.Tensor:
        """The same, with every call made again: in another precision than that in which the values were kept."""
        replaced = {id(leaf): tensor for leaf, tensor in leaves.items()}
        values: dict[int, Any] = {}
        for call in self.calls:
            values[id(call)] = _execute(call, values, replaced, edits.get(call))
        self._made[0] += len(values)
        return _look(self.result, values, replaced)


def _key(value: Value) -> int:
    return id(value) if isinstance(value, Leaf) else id(value.call)


def _execute(call: Call, values: Mapping[int, Any], leaves: Mapping[int, torch.Tensor], edit: Edit | None) -> Any:
    args, kwargs = mapped((call.args, call.kwargs), (Leaf, Result), lambda value: _look(value, values, leaves))
    if changes_its_input(call.name):
        args = (args[0].clone(), *args[1:])
    if edit is not None:
        return edit(call.function, args, kwargs)
    returned = call.function(*args, **kwargs)
    return args[0] if returned is None else returned


def _sparing(edit: Edit, known: Any) -> Edit:
    """The edit, with what the call is known to return where it is made with the arguments that it always had."""

    def spared(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def answer(*given: Any, **named: Any) -> Any:
            unchanged = len(given) == len(args) and all(one is other for one, other in zip(given, args, strict=True))
            unchanged &= named.keys() == kwargs.keys() and all(named[key] is kwargs[key] for key in kwargs)
            return known if unchanged else function(*given, **named)

        return edit(answer, args, kwargs)

    return spared


def _look(value: Value, values: Mapping[int, Any], leaves: Mapping[int, torch.Tensor]) -> torch.Tensor:
    if isinstance(value, Leaf):
        return leaves.get(id(value), value.tensor)
    found = values[id(value.call)]
    for key in value.path:
        found = found[key]
    assert isinstance(found, torch.Tensor)
    return found
