"""From hooks to a dump: what is stored, what is linked, and what happens when storing fails."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any
from weakref import ref

import torch
from torch import nn

from probe.capture.environment import config, environment
from probe.capture.hooks import Call
from probe.capture.structure import input_tensors, output_tensors
from probe.capture.tensors import dtype_name, to_bits, why_not_stored
from probe.capture.weights import weight_table
from probe.dump import DumpWriter, tensor_hash
from probe.errors import ProbeError
from probe.tap import Tap, tap_name


class Recorder:
    """Hands the tensors of each module call to a DumpWriter; never raises into the model's run."""

    def __init__(
        self,
        model: nn.Module,
        writer: DumpWriter,
        include: Sequence[str],
        exclude: Sequence[str],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._model = model
        self._writer = writer
        self._include = include
        self._exclude = exclude
        self._progress = progress
        self._stored: dict[int, tuple[ref[torch.Tensor], int | None, Tap]] = {}
        """By id of a living tensor object: its version when it was recorded, and as which tap."""
        self._skipped: dict[str, str] = {}
        self._order = 0
        self._trouble: Exception | None = None

    def describe(self, target: dict[str, Any] | None) -> None:
        """Write everything about the run that is known before it begins."""

        def work() -> None:
            self._writer.describe(target=target, environment=environment(self._model), config=config(self._model))
            table = weight_table(self._model)
            self._writer.add_weights(table.weights, table.sketches, table.values)
            self._skipped.update(table.skipped)

        self._guarded(work)

    def on_inputs(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        def work() -> None:
            if call.name == "":
                self._order = 0
                for name, tensor in _forward_arguments(call.module, args, kwargs):
                    if not why_not_stored(tensor):
                        self._writer.add_input(call.step, name, to_bits(tensor), dtype_name(tensor.dtype))
            self._record(call, input_tensors(args, kwargs))

        self._guarded(work)

    def on_output(self, call: Call, output: Any) -> None:
        self._guarded(lambda: self._record(call, output_tensors(output)))

    def finish(self) -> None:
        """Give the dump its name, or raise ProbeError and leave no file."""

        def work() -> None:
            if self._skipped:
                self._writer.describe(notes={"skipped": self._skipped})
            if self._writer.num_taps:
                self._writer.finish()

        self._guarded(work)
        if self._trouble is None and self._writer.num_taps:
            return
        self._writer.discard()
        if self._trouble is None:
            raise ProbeError(
                f"nothing was recorded into {self._writer.path}: no module of the model ran inside the block",
                hint="call the model itself inside 'with probe.record(model, path):', not a compiled or wrapped copy",
            )
        raise ProbeError(
            f"recording into {self._writer.path} failed after {self._writer.num_taps} taps: {self._trouble}",
            hint="make room, write to another disk, or record less (--include, --exclude)",
        ) from self._trouble

    def _guarded(self, work: Callable[[], None]) -> None:
        """The boundary between our work and the user's run: what goes wrong in `work` ends the recording alone."""
        if self._trouble is None:
            try:
                work()
            except Exception as error:
                self._trouble = error
                self._stored.clear()

    def _record(self, call: Call, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        for port, tensor in tensors:
            name = tap_name(call.name, call.number, port)
            if not self._wanted(call.name, name):
                continue
            reason = why_not_stored(tensor)
            if reason:
                self._skipped[name] = reason
                continue
            kind = type(call.module).__name__
            dtype = dtype_name(tensor.dtype)
            tap = Tap(name, call.name, kind, call.number, port, call.step, self._order, tuple(tensor.shape), dtype)
            self._store(tap, tensor)
            self._order += 1
            if self._progress:
                self._progress(self._writer.num_taps, self._writer.num_bytes)

    def _store(self, tap: Tap, tensor: torch.Tensor) -> None:
        """Link a tensor that is recorded already and unchanged since.

        torch counts in-place changes, except those of inference tensors, whose bytes are looked at again.
        """
        version = None if tensor.is_inference() else tensor._version
        known = self._stored.get(id(tensor))
        if known and known[0]() is tensor and known[1] == version:
            stored = known[2]
            if version is not None or stored.statistics.hash == tensor_hash(to_bits(tensor)):
                self._writer.link(tap, stored)
                return
        measured = self._writer.add(tap, to_bits(tensor))
        self._stored[id(tensor)] = (ref(tensor), version, measured)

    def _wanted(self, module: str, tap: str) -> bool:
        if self._include and not any(fnmatchcase(module, p) or fnmatchcase(tap, p) for p in self._include):
            return False
        return not any(fnmatchcase(module, p) or fnmatchcase(tap, p) for p in self._exclude)


def _forward_arguments(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that forward was given, by the names of its parameters."""
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # a forward without a readable signature
        bound = {**{f"args.{index}": value for index, value in enumerate(args)}, **kwargs}
    for name, value in bound.items():
        for path, tensor in input_tensors((value,), {}):
            yield name + path.removeprefix("in"), tensor
