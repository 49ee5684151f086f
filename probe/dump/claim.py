"""A dump's temporary name, claimed by one writer at a time."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from probe.errors import ProbeError


def claimed(path: Path, *, force: bool) -> tuple[Path, int]:
    """The temporary name `<path>.partial`, and a descriptor of that file, which is ours until it is closed.

    What a killed run left there is given up for the new run. ProbeError where the name is taken, or cannot be written.
    """
    try:
        if path.is_dir():
            raise ProbeError(f"{path} is a folder", hint="name a file in it")
        if path.exists() and not force:
            raise ProbeError(f"{path} exists already", hint="give another name, or --force (force=True) to replace it")
        partial = path.with_name(path.name + ".partial")
        descriptor = _locked(partial)
    except BlockingIOError:
        raise ProbeError(f"another run is writing {path}", hint="give another name, or wait for it to end") from None
    except (OSError, ValueError) as error:
        raise cannot_write(path, error, hint="does the folder exist, and may you write there?") from None
    return partial, descriptor


def cannot_write(path: Path, error: Exception, *, hint: str = "make room, or write to another disk") -> ProbeError:
    return ProbeError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}", hint=hint)


def _locked(partial: Path) -> int:
    """BlockingIOError where another writer has it."""
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), partial.stat()):
                if os.fstat(descriptor).st_size:
                    os.ftruncate(descriptor, 0)
                return descriptor
        raise BlockingIOError  # its last owner has just given it its final name
    except BaseException:
        os.close(descriptor)
        raise
