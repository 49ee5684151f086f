"""Teacher forcing: the reference runs, and at every mapped tap the candidate's tensor takes the place of its own."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.overrides import _pop_mode_temporarily

from probe.align.mapping import Numbers, Pair, candidate_values
from probe.capture.calling import watching_functions
from probe.capture.hooks import Call, watching
from probe.capture.scores import Seen
from probe.capture.structure import replace_inputs, replace_outputs
from probe.dump import Dump
from probe.replay.meeting import Meet, Meeting, same_numbers
from probe.replay.origins import FollowingOrigins, Origin, origin_of, responsible, set_origin
from probe.replay.program import Program
from probe.replay.tracing import Tracing, begin_at
from probe.replay.unfused import Unfused
from probe.tap import tap_name

_FORCED = "_probe_forced"
_FREE = "_probe_free"


NUM_WATCHING = 3
"""Modes that are on while a replay is written down: origins, programs, and fused calls in parts."""


class Replay:
    """One forced run of the reference over the inputs of one step."""

    def __init__(
        self,
        pairs: list[Pair],
        candidate: Dump,
        kept: NDArray[np.bool_] | None,
        meet: Meet,
        free: frozenset[str],
        roundoff: float,
        examine: Meet | None = None,
        functions: Sequence[Pair] = (),
    ) -> None:
        """`free`: taps where the candidate's tensor is compared, but not put in; so are all of `functions`, and nothing
        is noted of them. `roundoff`: of the coarser dtype.

        `meet` may not compute with torch in the replay's precision; `examine` may. It is called after `meet`, before
        the replay goes on, and only it is given programs.
        """
        self._functions = {pair.reference.name: pair for pair in functions}
        self._pairs = {pair.reference.name: pair for pair in pairs}
        self._candidate = candidate
        self._kept = kept
        self._meet = meet
        self._free = free
        self._roundoff = roundoff
        self._examine = examine
        self._tracing: Tracing | None = None
        self._lasting: set[int] = set()

    def run(self, model: nn.Module, inputs: dict[str, torch.Tensor]) -> None:
        """The model's own exceptions pass through; its hooks are gone afterwards."""
        with torch._C.DisableTorchFunction():  # a mode of another precision would answer with a copy's memory
            weights = (*model.parameters(), *model.buffers())
            self._lasting = {weight.untyped_storage().data_ptr() for weight in weights}
        hooks = self._on_inputs, self._on_output
        if self._functions:
            with torch.no_grad(), watching_functions(model, *hooks, self._on_function, beneath=self._following):
                model(**inputs)
            return
        with watching(model, *hooks) as current:
            following = self._following(current)
            if self._examine is not None:
                self._tracing = Tracing(model, lambda: (call.name, call.number) if (call := current()) else ("", 0))
            unfused = Unfused() if self._tracing else nullcontext()
            with torch.no_grad(), following, self._tracing or nullcontext(), unfused:
                model(**inputs)

    def _following(self, current: Callable[[], Call | None]) -> FollowingOrigins:
        return FollowingOrigins(lambda: call.name if (call := current()) else "", self._roundoff)

    def _on_function(self, call: Call, function: str, tensors: Iterable[Seen]) -> None:
        for seen in tensors:
            pair = self._functions.get(tap_name(call.name, call.number, seen.port))
            if pair is not None and tuple(seen.tensor.shape) == pair.reference.shape:
                with torch._C.DisableTorchFunction():
                    origin = origin_of(seen.tensor if seen.source is None else seen.source)
                    owner = call.parent.name if call.parent else ""
                    values = candidate_values(pair, self._candidate, self._kept)
                    tensor, module = seen.tensor, responsible(origin.modules, owner)
                    if seen.port.startswith("in.mask") or seen.port == "out.scores":
                        tensor, values = _hiding(tensor), _hiding(torch.from_numpy(values)).numpy()
                    values = self._without_padding(tensor, values)
                    self._meet(Meeting(pair, tensor, values, None, origin, module))

    def _without_padding(self, computed: torch.Tensor, values: Numbers) -> Numbers:
        """The candidate's values, but for those of padding [B, H, T, D], which need not agree."""
        kept, shape = self._kept, tuple(computed.shape)
        if kept is None or kept.all() or len(shape) != 4 or (shape[0], shape[2]) != kept.shape:
            return values
        padding = torch.from_numpy(~kept)[:, None, :, None]
        return torch.where(padding, computed.cpu().double(), torch.from_numpy(values).double()).numpy()

    def _on_inputs(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inside = call.parent.name if call.parent else call.name
        return replace_inputs(args, kwargs, lambda port, tensor: self._at(call, port, tensor, inside))

    def _on_output(self, call: Call, output: Any) -> Any:
        return replace_outputs(output, lambda port, tensor: self._at(call, port, tensor, call.name))

    def _at(self, call: Call, port: str, tensor: torch.Tensor, inside: str) -> torch.Tensor:
        put, meeting = self._met(call, port, tensor, inside)
        if meeting is not None and self._examine is not None:
            with ExitStack() as stack:
                for _ in range(NUM_WATCHING):  # what is tried is nobody's call: only the precision stays
                    stack.enter_context(_pop_mode_temporarily())
                self._examine(meeting)
        return put

    def _met(self, call: Call, port: str, tensor: torch.Tensor, inside: str) -> tuple[torch.Tensor, Meeting | None]:
        """The tensor to go on with, and the meeting if there was a new one."""
        pair = self._pairs.get(tap_name(call.name, call.number, port))
        if pair is None or tuple(tensor.shape) != pair.reference.shape or isinstance(tensor, nn.Parameter):
            return tensor, None  # a weight that is handed to a module (weight norm) is no activation
        name = pair.reference.name
        with torch._C.DisableTorchFunction():
            key = same_numbers(pair)
            if getattr(tensor, _FREE, None) == key:
                return tensor, None  # compared already, under another name
            forced_before = _forced(tensor)
            if forced_before == key:
                self._meet(Meeting(pair, tensor, None, None, Origin(), inside))
                return tensor, None
            values = candidate_values(pair, self._candidate, self._kept)
            kept = self._kept if pair.layout.unpadded else None
            origin = origin_of(tensor)
            module = responsible(origin.modules, inside)
            program = Program(self._tracing.value_of(tensor)) if self._tracing else None
            meeting = Meeting(
                pair, tensor.detach().clone() if program else tensor, values, kept, origin, module, program
            )
            self._meet(meeting)
            if not pair.firm:
                return tensor, meeting
            here = Origin(frozenset({(pair.reference.order, name)}))
            if name in self._free:
                set_origin(tensor, here)
                setattr(tensor, _FREE, key)
                return tensor, meeting
            forced = torch.from_numpy(np.ascontiguousarray(values)).reshape(tensor.shape)
            if kept is not None:
                mask = torch.from_numpy(kept).to(tensor.device).reshape(*kept.shape, *[1] * (tensor.dim() - 2))
                forced = torch.where(mask, forced.to(tensor.device, tensor.dtype), tensor)
            put = forced.to(tensor.device, tensor.dtype) if forced_before else self._put(tensor, forced)
            set_origin(put, here)
            setattr(put, _FORCED, (key, put._version))
            if self._tracing:
                begin_at(put, name)
            return put, meeting

    def _put(self, tensor: torch.Tensor, forced: torch.Tensor) -> torch.Tensor:
        """Into the tensor itself, so that who else holds it (the residual beside a norm) goes on from there too.

        Not where it is the candidate's already, of another tap: something else was handed over here alone. Nor where
        that would write into a weight or a buffer, or into memory that stands for several elements.
        """
        lasting = tensor.untyped_storage().data_ptr() in self._lasting
        repeats = any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))
        if lasting or repeats or not tensor.is_floating_point():
            return forced.to(tensor.device, tensor.dtype)
        return tensor.copy_(forced)


HIDDEN = -1e4
"""A key with such a score is not seen, whatever number stands for that; real scores are hundreds at most."""


def _hiding(scores: torch.Tensor) -> torch.Tensor:
    return scores.masked_fill(scores <= HIDDEN, -math.inf) if scores.is_floating_point() else scores


def _forced(tensor: torch.Tensor) -> tuple[Any, ...] | None:
    """The key of the pair whose values were put into this tensor; None where there were none, or it changed since."""
    key, version = getattr(tensor, _FORCED, (None, 0))
    return key if version == tensor._version else None
