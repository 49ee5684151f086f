"""What is learned of a run after its dump was finished, added to the file."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from probe.dump.table import REPETITION, Row, row_type
from probe.errors import ProbeError


def add_attributes(path: Path, **attributes: object) -> None:
    """Set attributes of a finished dump, each as JSON. ProbeError where the file cannot be written to."""
    with _opened(path) as file:
        for name, value in attributes.items():
            raw = json.dumps(value, default=str).encode()
            file.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", len(raw)))


def add_repetition(path: Path, rows: Sequence[Row]) -> None:
    """The table `/repetition`, a row for each of `/taps`. ProbeError where the file cannot be written to."""
    table = np.array(list(rows), row_type(REPETITION, rows))
    with _opened(path) as file:
        file.create_dataset("repetition", data=table, chunks=(max(1, len(table)),), fletcher32=True)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r+", libver=("v108", "v108")) as file:
            yield file
    except OSError as error:
        raise ProbeError(
            f"cannot add to {path}: {error}", hint="make room; what was recorded until then is whole, and can be read"
        ) from None
