"""Opening a dump: what is no dump, or none that can be read, is refused in words."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from probe.dump import plain
from probe.dump.writer import FORMAT, VERSION
from probe.errors import ProbeError


def opened(path: Path) -> int:
    """A descriptor of a plain file: what else there is (a pipe) could keep a reader waiting for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise ProbeError(f"cannot read {path}: {error}", hint="check the name, and the file's permissions") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ProbeError(f"{path} is no file", hint="give the dump itself, not its folder")
    return descriptor


def opened_hdf5(path: Path, descriptor: int) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise _not_hdf5(path, descriptor, error) from None


def check_format(path: Path, file: h5py.File) -> None:
    """ProbeError for another tool's file, and another version's."""
    try:
        found = plain.attribute(file, "format")
    except ValueError:  # another tool's attribute of this name
        found = None
    if found != FORMAT.encode():
        raise ProbeError(
            f"{path} is an HDF5 file, but not a dump of probe",
            hint="record one with 'probe dump', or with probe.record(model, path)",
        )
    version = int(plain.attribute(file, "version") or 0)
    if version != VERSION:
        raise ProbeError(
            f"{path} is dump version {version}, and this probe reads version {VERSION}",
            hint="update probe" if version > VERSION else "record it again",
        )


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """What turns out to be damaged within this block is a ProbeError that names the file and `what`."""
    try:
        yield
    except plain.REFUSED as error:
        raise ProbeError(f"{path} is damaged: {what}: {error}", hint="copy it or record it again") from None


def _missing(path: Path) -> ProbeError:
    partial = path.with_name(path.name + ".partial")
    if partial.is_file():
        return ProbeError(f"{path}: no such file", hint=f"{partial} is a run that did not end: it can be read too")
    known = sorted(path.parent.glob("*.h5")) if path.parent.is_dir() else []
    found = f"; {path.parent} holds {', '.join(p.name for p in known[:5])}" if known else ""
    return ProbeError(f"{path}: no such file{found}", hint="record one with 'probe dump TARGET -o FILE'")


def _not_hdf5(path: Path, descriptor: int, error: OSError) -> ProbeError:
    """HDF5's own message, in words a user can act on."""
    if "truncated" in str(error):
        return ProbeError(f"{path} is truncated: part of the file is missing", hint="copy it again, or record it again")
    if os.pread(descriptor, 8, 0) == b"\x89HDF\r\n\x1a\n":
        return ProbeError(f"{path} is a damaged HDF5 file", hint="copy it again, or record it again")
    return ProbeError(f"{path} is not an HDF5 file", hint="record one with 'probe dump TARGET -o FILE'")
