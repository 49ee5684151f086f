"""A run of another runtime: its arrays go into a dump, as what the modules of a model are given and return."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from probe.capture.ending import failed, nothing_recorded
from probe.capture.selection import Selection
from probe.capture.sink import Sink
from probe.capture.tensors import dtype_name, why_not_stored
from probe.capture.tokens import Cut
from probe.capture.weights import WeightTable
from probe.dump import DumpWriter
from probe.dump.detail import Detail
from probe.errors import ProbeError
from probe.tap import UNMEASURED, Statistics, Tap, tap_name

EVERYTHING = Selection((), ())
WHOLE = Detail()


class ArrayRecorder:
    """Writes a dump while its block runs: `feed` each step, then `add` its tensors in the order of execution.

    The block's exception passes through, and what was added until then is in `<path>.partial`. ProbeError where
    nothing was added, or could not be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        weights: Iterable[tuple[str, torch.Tensor]] = (),
        about: Mapping[str, Any],
        selection: Selection = EVERYTHING,
        detail: Detail = WHOLE,
        compress: bool = False,
        force: bool = False,
        lasting: bool = False,
    ) -> None:
        """`weights` by names `module.weight`, asked for one after the other. `about` are the dump's attributes
        `target`, `environment` and `config`, all JSON. `lasting`: as of a Sink."""
        self._selection, self._detail = selection, detail
        self._cut = Cut(detail.tokens)
        self._orders: Counter[int] = Counter()
        """Of each step: how many taps it has."""
        self._names: set[tuple[int, str]] = set()
        self._num_seen = 0
        self._writer = DumpWriter(path, force=force, compress=compress)
        try:
            table = WeightTable(weights)
            self.skipped = dict(table.skipped)
            """Names of taps and weights, and why they are not in the dump."""
            told = {"detail": detail.to_json()} if not detail.is_whole else {}
            self._writer.describe(**about, **told)
            self._writer.add_weights(table.weights, table.sketches, table.values)
            self._sink = Sink(self._writer, detail, lasting=lasting)
        except BaseException:
            self._writer.discard()
            raise

    @property
    def num_taps(self) -> int:
        return self._sink.num_taps

    @property
    def num_bytes(self) -> int:
        return self._sink.num_bytes

    def feed(self, step: int, inputs: Mapping[str, torch.Tensor], past: int = 0) -> None:
        """What the model is given in a step, by names, and how many tokens it holds in its cache before it."""
        if past:
            self._sink.later(self._writer.add_past, step, past)
        for name, tensor in inputs.items():
            self._sink.add_input(step, name, tensor)
        self._cut.feed(step, inputs.items())

    def add(
        self,
        step: int,
        module: str,
        kind: str,
        port: str,
        tensor: torch.Tensor,
        call: int = 0,
        statistics: Statistics = UNMEASURED,
    ) -> None:
        """One tensor of a module's call; `kind` is the module's class, or its operation. The same tensor object may be
        added under several names: it is stored once. `statistics` of the whole tensor, where they are known. ProbeError
        where that place has a tensor already."""
        self._num_seen += 1
        name = tap_name(module, call, port)
        if not self._selection.has(module, name):
            return
        if (step, name) in self._names:
            raise ProbeError(f"two tensors of step {step} are called {name}", hint="number the calls of a module")
        self._names.add((step, name))
        if reason := why_not_stored(tensor):
            self.skipped[name] = reason
            return
        try:
            shape = self._cut.shape(step, tensor)
        except ProbeError as error:
            self.skipped[name] = str(error)
            return
        order, self._orders[step] = self._orders[step], self._orders[step] + 1
        tap = Tap(name, module, kind, call, port, step, order, shape, dtype_name(tensor.dtype))
        self._sink.add(tap.measured(statistics) if shape == tuple(tensor.shape) else tap, tensor)
        if self._sink.trouble:
            raise failed(self._writer.path, self._writer.num_taps, self._sink.trouble) from self._sink.trouble

    def rescue(self) -> None:
        """Bring what was added into `<path>.partial`: for a process that is about to die."""
        self._sink.close()
        self._writer.keep_partial()

    def discard(self) -> None:
        """Leave nothing behind: for what was bad from the beginning. The block may then end as it will."""
        self._sink.close()
        self._writer.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.skipped:
            self._sink.later(partial(self._writer.describe, notes={"skipped": self.skipped}))
        self._sink.close()
        if kind is not None:
            self._writer.keep_partial()
        elif self._sink.trouble:
            self._writer.discard()
            raise failed(self._writer.path, self._writer.num_taps, self._sink.trouble) from self._sink.trouble
        elif not self._writer.num_taps:
            self._writer.discard()
            raise nothing_recorded(self._writer.path, self._num_seen, self.skipped)
        else:
            self._writer.finish()
