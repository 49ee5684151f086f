"""Writing a table's file: all of it or nothing, since a table half written would be a hand's work lost."""

import os
from pathlib import Path

from probe.errors import ProbeError


def save(path: Path, text: str) -> None:
    """A link is followed, and a file that was there before keeps its permissions."""
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            with beside.open("xb") as opened:
                opened.write(text.encode())
            if target.exists():
                beside.chmod(target.stat().st_mode & 0o777)
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ProbeError(f"cannot write {path}: {error.strerror}", hint="name a file in a folder of yours") from None
