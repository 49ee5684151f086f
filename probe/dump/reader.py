"""Reading a dump. Its text and its structure may be hostile: nothing is followed out of the file, nothing executed."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import finalize

import h5py
import numpy as np

from probe.dump import plain, shown
from probe.dump.detail import Detail, sketch_dtype
from probe.dump.dtypes import UNIT_ROUNDOFF, Bits, decode, dtype_of
from probe.dump.names import clean, link_name, linked_name
from probe.dump.opening import check_format, opened, opened_hdf5, reading
from probe.dump.table import REPETITION, TAPS, WEIGHTS, tap_of, weight_of
from probe.dump.tap_sketch import TapSketch, sketch_of, sketch_of_values
from probe.dump.values import Place, blocks_at, placed, values_at
from probe.dump.weight import NUM_PROJECTIONS, Sketches, Weight
from probe.errors import NotKept, ProbeError
from probe.tap import Tap

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 18
"""Numbers that are sketched at once."""


class Dump:
    """One recorded run. Tables are read when first asked for, values one tap at a time.

    with probe.open("ref.h5") as dump:
        values = dump["model.layers.0.mlp:out"]  # [sentences, tokens, channels], numpy

    What is asked for and not there is a ProbeError, and so is a file that is damaged there.
    """

    def __init__(self, path: Path | str) -> None:
        """ProbeError where `path` is no dump, or one that this version cannot read."""
        self.path = Path(path)
        self._descriptor = opened(self.path)
        self._release = finalize(self, os.close, self._descriptor)
        self._places: dict[tuple[int, str], Place] = {}
        try:
            self._file = opened_hdf5(self.path, self._descriptor)
        except ProbeError:
            self._release()
            raise
        try:
            with self._reading("its attributes"):
                check_format(self.path, self._file)
                self.complete = bool(plain.attribute(self._file, "complete"))
        except ProbeError:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return shown.dump(self)

    def to_pandas(self) -> "pd.DataFrame":
        """A row a tap, the gradients' last: step, tap, shape, dtype and statistics. ProbeError without pandas."""
        return shown.as_frame(self)

    def attribute(self, name: str) -> Any:
        """A JSON attribute of the file (target, environment, config, notes), or None."""
        with self._reading(f"its attribute {name!r}"):
            text = plain.attribute(self._file, name)
            return None if text is None else json.loads(text)

    @property
    def environment(self) -> dict[str, Any]:
        """Package versions, device, dtype, flags: see probe.capture.environment."""
        found = self.attribute("environment")
        return found if isinstance(found, dict) else {}

    @property
    def dtype(self) -> str:
        """What the run computed in: as it says, or else what most numbers of its taps are stored in."""
        told = self.environment.get("dtype")
        sizes: Counter[str] = Counter()
        for tap in self.taps:
            if tap.dtype in UNIT_ROUNDOFF:
                sizes[tap.dtype] += tap.num_elements
        return told if isinstance(told, str) else max(sizes, key=sizes.__getitem__, default="float32")

    @cached_property
    def detail(self) -> Detail:
        """How much of each tensor was kept."""
        with self._reading("its attribute 'detail'"):
            return Detail.of_json(self.attribute("detail"))

    def has_values(self, tap: Tap) -> bool:
        """Whether `read`, `bits` and `blocks` have something to give."""
        return self.detail.has_values and not self.detail.is_sketched(tap.shape, tap.dtype)

    def sketch(self, tap: Tap, detail: Detail) -> TapSketch:
        """A tap as `detail` sketches it, whether this dump has its sketch or its values. NotKept where it has none."""
        if self.has_values(tap):
            return sketch_of_values(self.blocks(tap, tap.shape[-1] * max(1, ROWS // tap.shape[-1])), tap, detail)
        return sketch_of(self.sketch_rows(tap, detail))

    def sketch_rows(self, tap: Tap, detail: Detail) -> Bits:
        """[..., K + 1]: what was recorded of a tap as `detail` says. NotKept where that is something else."""
        if not self.detail.has_values or self.detail != detail:
            raise NotKept(f"{self.path} has no such sketch of {tap.name!r}")
        shape, dtype = detail.sketch_shape(tap.shape), sketch_dtype(tap.dtype)
        with self._reading(f"the sketch of {tap.name!r}"):
            stored = _found(plain.group(self._file, "steps", str(tap.step)), link_name(tap.name))
            return values_at(self._descriptor, placed(stored, dtype, shape), dtype, shape)

    @cached_property
    def taps(self) -> list[Tap]:
        """Those of the forward run, in order of execution."""
        return [tap for tap in self._all_taps if not tap.is_gradient]

    @cached_property
    def gradients(self) -> list[Tap]:
        """Those of backward passes, in the order in which they arose."""
        return [tap for tap in self._all_taps if tap.is_gradient]

    @cached_property
    def _all_taps(self) -> list[Tap]:
        with self._reading("its table /taps"):
            return [tap_of(row) for row in plain.rows(_found(self._file, b"taps"), TAPS)]

    @cached_property
    def module_taps(self) -> list[Tap]:
        """Of `taps` those of modules: what two models are aligned by. The others are of functions that they call."""
        return [tap for tap in self.taps if not tap.is_functional]

    @cached_property
    def repetition(self) -> dict[tuple[int, str], tuple[float, float]]:
        """By step and tap: how far the run was from its own repetition, and from one that was given the recorded
        tensors (probe.capture.repeat); empty where it was not run again, or did not differ."""
        taps = self.taps
        with self._reading("its table /repetition"):
            table = plain.dataset(self._file, b"repetition")
            rows = [] if table is None else plain.rows(table, REPETITION).tolist()
            if rows and len(rows) != len(taps):
                raise ValueError("it has not as many rows as /taps")
        return {(tap.step, tap.name): (float(row[0]), float(row[1])) for tap, row in zip(taps, rows, strict=False)}

    @cached_property
    def weights(self) -> list[Weight]:
        """A row a parameter: name, shape, dtype, statistics, and where its sketches are. Values: `weight_value`."""
        num_sketches = len(self.sketches.norms)
        with self._reading("its table /weights"):
            table = plain.dataset(self._file, b"weights")
            if table is None:
                return []
            return [weight_of(row, num_sketches) for row in plain.rows(table, WEIGHTS)]

    @cached_property
    def sketches(self) -> Sketches:
        """Rows and columns of all `weights`; see Weight.first_row."""
        with self._reading("/weight_sketches"):
            folder = plain.group(self._file, "weight_sketches")
            if folder is None:
                return Sketches(np.zeros(0, np.float32), np.zeros((0, NUM_PROJECTIONS), np.float16))
            norms, directions = (_found(folder, name.encode()) for name in ("norms", "directions"))
            shape = (*norms.shape, NUM_PROJECTIONS)
            return Sketches(self._bits(norms, "float32", norms.shape), self._bits(directions, "float16", shape))

    @cached_property
    def _by_name(self) -> dict[tuple[int, str], Tap]:
        return {(tap.step, tap.name): tap for tap in (*self.taps, *self.gradients)}

    def tap(self, name: str, step: int = 0) -> Tap:
        """ProbeError, with near misses, where there is no such tap."""
        try:
            return self._by_name[step, clean(name)]
        except KeyError:
            if step not in self.steps:
                hint = f"it has steps {self.steps[0]} to {self.steps[-1]}" if self.steps else None
                raise ProbeError(f"{self.path} has no step {step}", hint=hint) from None
            module = name.partition(":")[0]
            there = (tap.name for tap in (*self.taps, *self.gradients) if tap.step == step)
            near = [one for one in there if module in one]
            near.sort(key=lambda one: one.partition(":")[0] != module)  # its own before those of modules in it
            hint = f"did you mean {', '.join(near[:5])}?" if near else f"'probe show {self.path}' lists the taps"
            raise ProbeError(f"{self.path} has no tap {name!r} in step {step}", hint=hint) from None

    def __getitem__(self, name: str) -> Bits:
        """`dump["model.layers.0:out"]`: the values of step 0 as numbers (bfloat16 and fp8 as float32).

        Of another step: `dump.read(dump.tap("model.layers.0:out", step=3))`. ProbeError where there is no such tap.
        """
        return self.read(self.tap(name))

    def read(self, tap: Tap) -> Bits:
        """A tap's values as numbers, in its shape."""
        return decode(self.bits(tap), tap.dtype)

    def bits(self, tap: Tap) -> Bits:
        """A tap's values as stored, in its shape: bfloat16 as uint16, fp8 as uint8."""
        with self._reading(f"the tap {tap.name!r}"):
            return values_at(self._descriptor, self._place(tap), tap.dtype, tap.shape)

    def blocks(self, tap: Tap, length: int) -> Iterator[Bits]:
        """A tap's values as numbers, flat, `length` elements at a time: memory stays flat whatever the tap's size.

        A yielded block is overwritten by the next one.
        """
        with self._reading(f"the tap {tap.name!r}"):
            blocks = blocks_at(self._descriptor, self._place(tap), tap.dtype, tap.num_elements, length)
        while True:
            with self._reading(f"the tap {tap.name!r}"):
                part = next(blocks, None)
            if part is None:
                return
            yield decode(part, tap.dtype)

    def inputs(self, step: int = 0) -> dict[str, tuple[Bits, str]]:
        """What the model was fed in a step: bits and dtype by the name of forward's parameter, in forward's order."""
        found = {}
        with self._reading(f"/inputs/{step}"):
            folder = plain.group(self._file, "inputs", str(step))
            for link in folder.id if folder is not None else ():
                values = _found(folder, link)
                dtype = dtype_of(values.id.get_type())
                found[linked_name(link)] = (self._bits(values, dtype, values.shape), dtype)
        return found

    @cached_property
    def past(self) -> dict[int, int]:
        """How many tokens the model held in its cache before each step; 0 where it says nothing of one."""
        found = {}
        for step in self.steps:
            with self._reading(f"/inputs/{step}"):
                folder = plain.group(self._file, "inputs", str(step))
                found[step] = 0 if folder is None else plain.count(folder, "past")
        return found

    @cached_property
    def steps(self) -> list[int]:
        """The model's calls, from 0."""
        return sorted({tap.step for tap in self.taps})

    def weight_value(self, name: str, dtype: str) -> Bits | None:
        """A one-dimensional parameter as numbers; None where its values were not recorded."""
        with self._reading(f"the weight {name!r}"):
            folder = plain.group(self._file, "weight_values")
            values = None if folder is None else plain.dataset(folder, link_name(name))
            return None if values is None else decode(self._bits(values, dtype, values.shape), dtype)

    def _place(self, tap: Tap) -> Place:
        place = self._places.get((tap.step, tap.name))
        if place is None:
            if not self.has_values(tap):
                kept = "its sketch" if self.detail.has_values else "its statistics"
                raise NotKept(f"{self.path} holds of {tap.name!r} {kept} alone", hint="record it in full (--include)")
            values = _found(plain.group(self._file, "steps", str(tap.step)), link_name(tap.name))
            place = self._places[tap.step, tap.name] = placed(values, tap.dtype, tap.shape)
        return place

    def _bits(self, dataset: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> Bits:
        return values_at(self._descriptor, plain.place(dataset, dtype, shape), dtype, shape)

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return reading(self.path, what)

    @property
    def is_closed(self) -> bool:
        return not self._file

    def close(self) -> None:
        self._file.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _found(folder: h5py.Group | None, link: bytes) -> h5py.Dataset:
    values = None if folder is None else plain.dataset(folder, link)
    if values is None:
        raise ValueError("it is missing")
    return values
