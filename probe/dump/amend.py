"""What is learned of a run after its dump was finished: further attributes, added to the file."""

import json
from pathlib import Path

import h5py

from probe.errors import ProbeError


def add_attributes(path: Path, **attributes: object) -> None:
    """Set attributes of a finished dump, each as JSON. ProbeError where the file cannot be written to."""
    try:
        with h5py.File(path, "r+") as file:
            for name, value in attributes.items():
                raw = json.dumps(value, default=str).encode()
                file.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", len(raw)))
    except OSError as error:
        raise ProbeError(
            f"cannot add to {path}: {error}", hint="make room; what was recorded until then is whole, and can be read"
        ) from None
