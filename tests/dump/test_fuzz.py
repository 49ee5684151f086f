"""Over ten thousand spoiled copies of a small dump: each is read or refused, and nothing else ever happens.

In processes of their own, under a limit of memory and of time, since HDF5 may crash, hang or allocate what a file
claims. A failure names the seed: `tests.dump.test_fuzz.once(folder, kind, seed)` runs it again.
"""

import ctypes
import io
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import probe
from probe.dump import Dump
from probe.dump.amend import add_repetition
from probe.dump.joined import side_by_side
from probe.errors import ProbeError
from probe.render.contents import contents, one_tap
from probe.render.listing import print_contents, print_tap
from tests.dump.mutations import KINDS, OUTSIDE
from tests.dump.small import in_new_process, small_dump

MEMORY = 1 << 29
"""Bytes that reading a file of forty kilobytes may take beyond what the process has anyway."""
COUNTS = {"bytes": 8200, "bytes under checksums": 1000, "objects": 500, "rows": 400}
IN_OPEN = 0x20
"""Of inotify."""
COMPARED = 50
"""Each so manieth of a kind is compared with the whole one too."""
ATTRIBUTES = ("target", "environment", "config", "notes", "repetition")
CHILD = """
import sys
from tests.dump.test_fuzz import run
run(*sys.argv[1:])
"""


def prepared(folder: Path) -> Path:
    """The whole dump, in a folder beside which lies what must not be read."""
    (folder / "inside").mkdir()
    whole = small_dump(folder / "inside" / "whole.h5")
    add_repetition(whole, [(0.5, 0.25)] * 4)
    with h5py.File(folder / "outside.h5", "w") as file:
        for name in ("x", "steps/0/0:in", "steps/0/0:out", "weight_sketches/norms", "inputs/0/input_ids"):
            file[name] = np.full((2, 12), OUTSIDE, np.float32)
    np.full(4096, OUTSIDE, np.float32).tofile(folder / "outside.raw")
    return whole


def all_readers(path: Path, whole: Path, *, compared: bool) -> None:
    """Every way in which probe reads a dump. A ProbeError ends one of them alone; one at the start ends all."""
    try:
        dump = Dump(path)
    except ProbeError as error:
        raise_unless_told(error)
        return

    def tables() -> None:
        _ = dump.dtype, dump.repetition, dump.past, dump.weights, [dump.attribute(name) for name in ATTRIBUTES]

    def values() -> None:
        for tap in (*dump.taps, *dump.gradients):
            found = dump.read(tap)
            raise_if_from_outside(found)
            assert sum(map(len, dump.blocks(tap, 1 + found.size // 3))) == found.size

    def inputs() -> None:
        for step in dump.steps[:3]:
            for bits, _ in dump.inputs(step).values():
                raise_if_from_outside(bits)

    def weights() -> None:
        raise_if_from_outside(dump.sketches.norms)
        for weight in dump.weights:
            dump.weight_value(weight.name, weight.dtype)
        found = dump.weight_value("0.bias", "float32")
        raise_if_from_outside(np.zeros(0) if found is None else found)

    def sequences() -> None:
        with Dump(whole) as other:
            for side in side_by_side(dump, other):
                for tap in side.taps:
                    side.read(tap)

    def shown() -> None:
        with redirect_stdout(io.StringIO()):
            contents(dump)
            print_contents(dump)
            for tap in dump.taps[:1]:
                one_tap(dump, tap)
                print_tap(dump, tap)

    def diffed() -> None:
        probe.diff(whole, path, replay=False, trust_anyway=True).to_dict()
        probe.diff(path, whole, replay=False, trust_anyway=True).to_dict()

    readers: list[Callable[[], object]] = [tables, values, inputs, weights]
    with dump:
        for reader in (*readers, sequences, shown, diffed) if compared else readers:
            try:
                reader()
            except ProbeError as error:
                raise_unless_told(error)


def raise_unless_told(error: ProbeError) -> None:
    """A refusal for want of memory comes too late: something was allocated on the file's word."""
    if not str(error) or isinstance(error.__context__, MemoryError):
        raise error


@contextmanager
def unopened(*paths: Path) -> Iterator[None]:
    """AssertionError where one of these files was opened within the block (Linux: inotify)."""
    libc = ctypes.CDLL(None)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    try:
        for path in paths:
            assert libc.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN) > 0
        yield
        with suppress(BlockingIOError):
            os.read(descriptor, 4096)
            raise AssertionError("a file outside was opened")
    finally:
        os.close(descriptor)


def raise_if_from_outside(found: NDArray[Any]) -> None:
    assert not (found.dtype.kind == "f" and (found == OUTSIDE).any()), "read from outside"


def once(folder: Path, kind: str, seed: int, *, compared: bool = True) -> None:
    whole, path = folder / "inside" / "whole.h5", folder / "inside" / "spoiled.h5"
    KINDS[kind](whole.read_bytes(), path, random.Random(f"{kind} {seed}"))
    with unopened(folder / "outside.h5", folder / "outside.raw"):
        all_readers(path, whole, compared=compared)


def run(folder: str, kind: str, count: str) -> None:
    """In the process that may die: says which seed it is at before it begins."""
    import rich.table  # noqa: F401  (what is imported later counts as memory that a file took)

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    for seed in range(int(count)):
        print(seed, flush=True)
        once(Path(folder), kind, seed, compared=seed % COMPARED == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_dumps_are_read_or_refused(
    tmp_path: Path, kind: str, record_property: Callable[[str, object], None]
) -> None:
    prepared(tmp_path)
    ended = in_new_process(CHILD, tmp_path, kind, COUNTS[kind])
    seeds = ended.stdout.split()
    assert ended.returncode == 0, f"{kind}, seed {seeds[-1:]}: status {ended.returncode}\n{ended.stderr[-3000:]}"
    assert len(seeds) == COUNTS[kind]
    record_property("spoiled dumps", len(seeds))


def test_there_are_ten_thousand() -> None:
    assert sum(COUNTS.values()) >= 10_000
    assert COUNTS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_most_spoiled_dumps_are_not_as_they_were(tmp_path: Path, kind: str) -> None:
    whole = prepared(tmp_path).read_bytes()
    path, changed = tmp_path / "inside" / "spoiled.h5", 0
    for seed in range(50):
        KINDS[kind](whole, path, random.Random(seed))
        changed += path.read_bytes() != whole
    assert changed > 40
