"""From hooks to a dump: what is stored, what is linked, and what happens when storing fails."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from threading import RLock
from typing import Any

import torch
from torch import nn

from probe.capture.arguments import named_arguments, named_tensors
from probe.capture.budget import Budget, Functional
from probe.capture.ending import failed, nothing_recorded
from probe.capture.environment import config, environment
from probe.capture.gradients import Gradients
from probe.capture.hooks import Call, why_not_watched
from probe.capture.past import Past
from probe.capture.scores import Seen
from probe.capture.selection import Selection
from probe.capture.sink import Sink
from probe.capture.structure import input_tensors, output_tensors
from probe.capture.tensors import dtype_name, why_not_stored
from probe.capture.tokens import Cut
from probe.capture.weights import weight_table
from probe.dump import DumpWriter
from probe.dump.detail import Detail
from probe.errors import ProbeError
from probe.tap import Tap, tap_name


class Recorder:
    """Hands the tensors of each module call to a DumpWriter; never raises into the model's run."""

    def __init__(
        self,
        model: nn.Module,
        writer: DumpWriter,
        selection: Selection,
        progress: Callable[[int, int], None] | None,
        functional: Functional,
        gradients: bool,
        detail: Detail,
    ) -> None:
        self._model = model
        self._writer = writer
        self._sink = Sink(writer, detail)
        self._selection = selection
        self._progress = progress
        self._detail = detail
        self._skipped: dict[str, str] = {}
        """Names of taps and weights, and why they are not in the dump."""
        self._past = Past()
        self._cut = Cut(detail.tokens)
        self._orders: Counter[int] = Counter()
        """Of each step: how many taps it has."""
        self._num_calls = 0
        self._trouble: BaseException | None = None
        self._process = os.getpid()
        """What is forked from it writes nothing."""
        self._one_at_a_time = RLock()
        """Several threads may run the model."""
        self._budget = Budget(functional)
        self._with_gradients = gradients
        self._gradients: Gradients | None = None

    def describe(self, target: dict[str, Any] | None) -> None:
        """Write everything about the run that is known before it begins."""

        def work() -> None:
            about = {"target": target, "environment": environment(self._model), "config": config(self._model)}
            if not self._detail.is_whole:
                about["detail"] = self._detail.to_json()
            self._sink.later(partial(self._writer.describe, **about))
            table = weight_table(self._model)
            self._sink.later(self._writer.add_weights, table.weights, table.sketches, table.values)
            self._skipped.update(table.skipped)
            for name, module in self._model.named_modules():
                if reason := why_not_watched(module):
                    self._skipped[f"{name}:*"] = reason
            if self._with_gradients:
                self._gradients = Gradients(self._model, self._on_gradient)
                self._gradients.begin()

        self.guarded(work)

    def on_inputs(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        def work() -> None:
            if call.name == "":
                self._record_arguments(call, args, kwargs)
            self._record(call, input_tensors(args, kwargs))

        if not call.recomputed:
            self.guarded(work)

    def on_output(self, call: Call, output: Any) -> None:
        def work() -> None:
            if not call.recomputed:
                self._record(call, output_tensors(output))
            if self._gradients:
                self._gradients.watch(call, output)

        self.guarded(work)

    def on_function(self, call: Call, function: str, tensors: Iterable[Seen]) -> None:
        if not call.recomputed:
            self._record(call, ((seen.port, seen.tensor) for seen in tensors), function)

    def _on_gradient(self, call: Call, port: str, gradient: torch.Tensor) -> None:
        self.guarded(lambda: self._record(call, [(port, gradient)]))

    def let_go(self) -> None:
        """Take away what was hung on tensors and parameters."""
        if self._gradients:
            self._gradients.remove()
            self._skipped.update(self._gradients.skipped)

    def finish(self) -> None:
        """Give the dump its name, or raise ProbeError and leave no file."""
        notes = {
            "skipped": self._skipped,
            "left_out": self._budget.left_out,
            "gradients": self._gradients and self._gradients.why_none,
        }
        if any(notes.values()):
            self.guarded(lambda: self._sink.later(partial(self._writer.describe, notes=notes)))
        self._drain()
        if self._trouble is None and self._writer.num_taps:
            self._writer.finish()
            return
        self._writer.discard()
        if self._trouble is None:
            raise nothing_recorded(self._writer.path, self._num_calls, self._skipped)
        raise failed(self._writer.path, self._writer.num_taps, self._trouble) from self._trouble

    def keep_partial(self) -> None:
        """Leave what was recorded so far under the temporary name."""
        self._drain()
        self._writer.keep_partial()

    def _drain(self) -> None:
        try:
            self._sink.close()
        except Exception as error:
            self._trouble = self._trouble or error
        self._trouble = self._trouble or self._sink.trouble

    def guarded(self, work: Callable[[], None]) -> None:
        """The boundary between our work and the user's run: what goes wrong in `work` ends the recording alone."""
        if self._trouble is not None or os.getpid() != self._process:
            return
        with self._one_at_a_time:
            try:
                work()
            except Exception as error:
                self._trouble = error
            self._trouble = self._trouble or self._sink.trouble

    def _record_arguments(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = named_arguments(call.module, args, kwargs)
        if past := self._past.before(arguments):
            self._sink.later(self._writer.add_past, call.step, past)
        storable = []
        for name, tensor in named_tensors(arguments):
            place = f"inputs/{call.step}/{name}"
            if reason := why_not_stored(tensor):
                self._skipped[place] = reason
            else:
                storable.append((name, tensor))
                self._stored_or_skipped(place, partial(self._sink.add_input, call.step, name, tensor))
        self._cut.feed(call.step, storable)

    def _record(self, call: Call, tensors: Iterable[tuple[str, torch.Tensor]], function: str = "") -> None:
        self._num_calls += 1
        names = set()
        for port, tensor in tensors:
            name = tap_name(call.name, call.number, port)
            if not self._selection.has(call.name, name):
                continue
            if name in names:
                self._skipped[name] = "another tensor beside it has the same name"
                continue
            names.add(name)
            kind = function or type(call.module).__name__
            reason = why_not_stored(tensor)
            if reason is not None:
                self._skipped[name] = reason
                continue
            place = call.step, self._orders[call.step]
            shape = self._cut.shape(call.step, tensor)
            tap = Tap(name, call.name, kind, call.number, port, *place, shape, dtype_name(tensor.dtype))
            if function and not self._budget.admits(tap, tensor.nbytes):
                continue
            if self._stored_or_skipped(name, partial(self._store, tap, tensor)):
                self._orders[call.step] += 1
                if self._progress:
                    self._progress(self._sink.num_taps, self._sink.num_bytes)

    def _stored_or_skipped(self, name: str, store: Callable[[], None]) -> bool:
        try:
            store()
        except ProbeError as error:
            self._skipped[name] = str(error)
            return False
        return True

    def _store(self, tap: Tap, tensor: torch.Tensor) -> None:
        self._budget.spent(tap, self._sink.add(tap, tensor), tensor.nbytes)
