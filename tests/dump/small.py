"""Small dumps to write, damage and read; torch is not needed for any of them."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump, DumpWriter, Sketches, Weight, projections
from probe.dump.dtypes import storage
from probe.tap import UNMEASURED, Tap

Bits = NDArray[Any]


def tap(name: str, bits: Bits, dtype: str, *, step: int = 0, order: int = 0) -> Tap:
    module, _, port = name.rpartition(":")
    return Tap(name, module, "Linear", 0, port, step, order, bits.shape, dtype)


def written(path: Path, tensors: Mapping[str, tuple[Bits, str]]) -> Path:
    """A finished dump of these taps, in this order."""
    with DumpWriter(path, force=True) as writer:
        for order, (name, (bits, dtype)) in enumerate(tensors.items()):
            writer.add(tap(name, bits, dtype, order=order), bits)
    return path


def small_dump(path: Path) -> Path:
    """A bit of everything that a dump can hold: some forty kilobytes."""
    numbers = np.linspace(-2, 2, 24, dtype=np.float32)
    halves = np.arange(24, dtype=np.uint16).reshape(4, 6)
    with DumpWriter(path) as writer:
        writer.describe(target={"kind": "py"}, environment={"dtype": "float32"}, notes={"skipped": {}})
        norms, directions = np.ones(7, np.float32), projections(7).astype(np.float16)
        row = Weight("0.weight", "0", "", (4, 3), "float32", UNMEASURED, 0, 4, 4, 3)
        writer.add_weights([row], Sketches(norms, directions), {"0.bias": (numbers[:4], "float32")})
        writer.add_input(0, "input_ids", np.arange(6), "int64")
        writer.add_past(1, 6)
        first = writer.add(tap("0:in", numbers.reshape(2, 12), "float32"), numbers)
        writer.add(tap("0:out", halves, "bfloat16", order=1), halves)
        writer.link(tap("1:in", numbers.reshape(2, 12), "float32", order=2), first)
        writer.add(tap("1:out", halves, "bfloat16", step=1), halves)
    return path


def everything(path: Path) -> int:
    """Read all that a dump holds, each thing in each way; how many taps there were."""
    with Dump(path) as dump:
        for name in ("target", "environment", "config", "notes"):
            json.dumps(dump.attribute(name))
        for found in dump.taps:
            values = dump.read(found)
            assert values.shape == found.shape
            length = 1 + found.num_elements // 3
            assert sum(len(block) for block in dump.blocks(found, length)) == math.prod(found.shape)
        assert list(dump.past) == dump.steps
        for step in dump.steps:
            dump.inputs(step)
        for weight in dump.weights:
            dump.weight_value(weight.name, weight.dtype)
        dump.weight_value("0.bias", "float32")
        return len(dump.taps)


def random_bits(shape: tuple[int, ...], dtype: str, *, seed: int = 0) -> Bits:
    """Every bit drawn: NaN with any payload, infinities and negative zero among them."""
    kind = storage(dtype)
    raw = np.random.default_rng(seed).bytes(math.prod(shape) * kind.itemsize)
    bits = np.frombuffer(bytearray(raw), np.uint8)
    return (bits & 1 if dtype == "bool" else bits).view(kind).reshape(shape)


def in_new_process(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Its exit status may be a signal; a hang is a failure, after ten minutes."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
