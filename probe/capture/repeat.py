"""A model run again on the same inputs: which taps are not, bit for bit, what was recorded?

What differs is the run's own noise (atomic additions, another algorithm picked), and no port can be nearer than that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from probe.capture.distance import distance
from probe.capture.hooks import Call, watching
from probe.capture.structure import output_tensors, replace_inputs, replace_outputs
from probe.capture.tensors import from_bits, to_bits, why_not_stored
from probe.dump import Dump, tensor_hash
from probe.tap import Tap, tap_name

MOST_TAPS = 200
"""Taps that are named in the attribute; the table has all."""
Place = tuple[int, str]
"""Step and name of a tap."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """How far other runs were from the recorded one, at the taps that differ; the largest over all runs."""

    num_runs: int
    order: tuple[Place, ...]
    """All taps that were recorded."""
    distances: dict[Place, float]
    """From what was recorded to what the same run gave again."""
    own: dict[Place, float] = field(default_factory=dict)
    """The same, where every tap was given back its recorded tensor as soon as it had been looked at: what arose since
    the taps before. `distances` are an upper bound of it, which grows from layer to layer."""
    recording_moved_output: bool = False
    """Without hooks the model returned something else, though under hooks it repeated itself."""

    @property
    def attribute(self) -> dict[str, Any]:
        """What the dump's attribute `repetition` holds: of the taps that differ the first, with step and distance."""
        differing = [place for place in self.order if place in self.distances]
        return {
            "runs": self.num_runs,
            "num_differing": len(differing),
            "taps": [[*place, self.distances[place]] for place in differing[:MOST_TAPS]],
            "recording_moved_output": self.recording_moved_output,
        }

    @property
    def rows(self) -> list[tuple[float, float]]:
        """What the dump's table `/repetition` holds; nothing where nothing differs."""
        if not self.distances and not self.own:
            return []
        return [(self.distances.get(place, 0.0), self.own.get(place, 0.0)) for place in self.order]


def repetition(model: nn.Module, run: Callable[[], Any], dump: Dump, num_runs: int) -> Repetition:
    """Call `run` `num_runs - 1` times under hooks; once more for each if they differ, once without hooks if not."""
    again = _Again(model, dump)
    for _ in range(num_runs - 1):
        again.look(run, put_back=False)
    order = tuple(again.recorded)
    if not again.differing:
        return Repetition(num_runs, order, {}, recording_moved_output=again.returns_otherwise(run()))
    distances, again.differing = again.differing, {}
    for _ in range(num_runs - 1):
        again.look(run, put_back=True)
    return Repetition(num_runs, order, distances, again.differing)


class _Again:
    """Looks at further runs of a recorded model."""

    def __init__(self, model: nn.Module, dump: Dump) -> None:
        self._model, self._dump = model, dump
        self.recorded = {(tap.step, tap.name): tap for tap in dump.taps}
        self.differing: dict[Place, float] = {}
        self._lasting = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}

    def look(self, run: Callable[[], Any], *, put_back: bool) -> None:
        def at(call: Call, port: str, tensor: torch.Tensor) -> torch.Tensor:
            found = self._look(call, port, tensor)
            return tensor if found is None or not put_back else self._put(tensor, *found)

        def on_inputs(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return replace_inputs(args, kwargs, lambda port, tensor: at(call, port, tensor))

        def on_output(call: Call, output: Any) -> Any:
            return replace_outputs(output, lambda port, tensor: at(call, port, tensor))

        with watching(self._model, on_inputs, on_output):
            run()

    def _look(self, call: Call, port: str, tensor: torch.Tensor) -> tuple[NDArray[Any], str] | None:
        """Bits and dtype that were recorded, where there is something else now."""
        tap = self.recorded.get((call.step, tap_name(call.name, call.number, port)))
        if tap is None or why_not_stored(tensor) or not self._differs(tap, tensor):
            return None
        place, far = (tap.step, tap.name), distance(self._dump, tap, to_bits(tensor))
        self.differing[place] = max(self.differing.get(place, 0.0), far)
        return (self._dump.bits(tap), tap.dtype) if tap.shape == tuple(tensor.shape) else None

    def _differs(self, tap: Tap, tensor: torch.Tensor) -> bool:
        return tensor_hash(to_bits(tensor)) != tap.statistics.hash

    def _put(self, tensor: torch.Tensor, bits: NDArray[Any], dtype: str) -> torch.Tensor:
        """Into the tensor itself, so that who else holds it goes on from there too; not into weights, nor into memory
        that stands for several elements."""
        recorded = from_bits(np.ascontiguousarray(bits), dtype).to(tensor.device)
        lasting = tensor.untyped_storage().data_ptr() in self._lasting
        shared = any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
        return recorded if lasting or shared or recorded.dtype != tensor.dtype else tensor.copy_(recorded)

    def returns_otherwise(self, output: Any) -> bool:
        """Whether the model's own output is not the recorded one; False where that was not recorded."""
        for port, tensor in output_tensors(output):
            tap = self.recorded.get((self._dump.steps[-1], tap_name("", 0, port)))
            if tap and not why_not_stored(tensor) and self._differs(tap, tensor):
                return True
        return False
