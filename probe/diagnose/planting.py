"""A cause as something that can be planted into the whole model, wherever its computation is run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from probe.capture.hooks import Call, watching
from probe.capture.structure import replace_inputs, replace_outputs
from probe.diagnose.hypothesis import Change, Plan
from probe.diagnose.wire import Wire
from probe.replay.nested import makes_tensors, mapped
from probe.replay.program import Edit
from probe.replay.unfused import Unfused
from probe.tap import tap_name

Place = tuple[str, int, int]
"""A torch call: the module whose code makes it, how often that module was called before, and which of its calls."""


@dataclass(frozen=True)
class Planting:
    """A plan without its program, so that no activation is held."""

    edits: tuple[tuple[Place, str, Edit], ...]
    """Which call, the name of its function, and what happens instead."""
    weights: tuple[tuple[str, torch.Tensor], ...]
    """Names of weights, and what stands in their place."""
    taps: tuple[tuple[str, Change], ...] = ()
    """Names of taps, and what becomes of them."""
    wires: tuple[Wire, ...] = ()
    """What the edits take from other taps."""

    def joined(self, other: "Planting") -> "Planting":
        """Both; where both answer one call, the other one's edit sees this one's result."""
        edits, weights = self.edits + other.edits, self.weights + other.weights
        return Planting(edits, weights, self.taps + other.taps, self.wires + other.wires)


def planting(plan: Plan, place: str) -> Planting:
    """`place` is the tap that the plan was found at."""
    edits = tuple(((call.module, call.number, call.index), call.name, edit) for call, edit in plan.edits.items())
    weights = tuple((leaf.name, tensor) for leaf, tensor in plan.leaves.items())
    for wire in plan.wires:
        wire.tensor = None
    taps = [(leaf.name, change) for leaf, change in plan.taps.items()]
    taps += [(place, plan.place)] if plan.place is not None else []
    return Planting(edits, weights, tuple(taps), plan.wires)


def once(plantings: Sequence[Planting]) -> tuple[Planting, ...]:
    """The same, with the first edit of each call alone: one bug that two taps show is planted once."""
    seen: set[tuple[Place, str]] = set()
    kept = []
    for one in plantings:
        new = tuple((place, name, edit) for place, name, edit in one.edits if (place, name) not in seen)
        seen |= {(place, name) for place, name, _ in new}
        kept.append(replace(one, edits=new))
    return tuple(kept)


@contextmanager
def planted(model: nn.Module, plantings: Sequence[Planting]) -> Iterator[None]:
    """Within this block the model computes as the candidate does; neither its weights nor its code are touched."""
    changes = {name: change for one in plantings for name, change in one.taps}
    wires = [wire for one in plantings for wire in one.wires]

    def at(call: Call, port: str, tensor: torch.Tensor) -> torch.Tensor:
        name = tap_name(call.name, call.number, port)
        with torch._C.DisableTorchFunction():  # what is done here is none of the module's own calls
            now = changes[name](tensor) if name in changes else tensor
            for wire in wires:
                if wire.name == name:
                    wire.tensor = now.clone()
        return now

    def on_inputs(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return replace_inputs(args, kwargs, partial(at, call)) if changes or wires else None

    def on_output(call: Call, output: Any) -> Any:
        return replace_outputs(output, partial(at, call)) if changes or wires else None

    try:
        with watching(model, on_inputs, on_output) as current:
            mode = _Planted(model, plantings, lambda: (call.name, call.number) if (call := current()) else ("", 0))
            with mode, Unfused():
                yield
    finally:
        for wire in wires:
            wire.tensor = None


class _Planted(TorchFunctionMode):
    """Answers the calls that are edited, and shows other weights in the place of a model's own."""

    def __init__(self, model: nn.Module, plantings: Sequence[Planting], current: Callable[[], tuple[str, int]]) -> None:
        super().__init__()
        self._current = current
        self._counts: Counter[tuple[str, int]] = Counter()
        self._edits: dict[tuple[Place, str], list[Edit]] = {}
        for one in plantings:
            for place, name, edit in one.edits:
                self._edits.setdefault((place, name), []).append(edit)
        own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
        self._weights = {id(own[name]): tensor for one in plantings for name, tensor in one.weights if name in own}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, here = getattr(func, "__name__", ""), self._current()
        args, kwargs = mapped((args, kwargs or {}), torch.Tensor, self._shown)
        whole = func
        for edit in self._edits.get(((*here, self._counts[here]), name), ()):
            whole = _edited(edit, whole)
        result = whole(*args, **kwargs)
        self._counts[here] += makes_tensors(name, args, result)
        return result

    def _shown(self, tensor: torch.Tensor) -> torch.Tensor:
        other = self._weights.get(id(tensor))
        return tensor if other is None else other.to(tensor.dtype)


def _edited(edit: Edit, function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: edit(function, args, kwargs)
