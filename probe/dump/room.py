"""Space on the disk, taken before HDF5 needs it: where a write of HDF5's own fails, it takes the whole process down.

So everything that HDF5 may add to the file is allocated before it is told to. No space left is then an OSError of
ours, at a moment when HDF5 can still close the file.
"""

import errno
import os

import h5py

AHEAD = 1 << 18
"""More than HDF5 adds in one call (in blocks of at most 64 KiB) besides what it is given."""
MOST_AHEAD = 1 << 26
"""That is allocated and not yet needed: a file whose writer is killed keeps it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Room:
    """The space behind the end of one growing file."""

    def __init__(self, file: h5py.File, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor
        self._held = 0
        """Up to here the file has its space on the disk."""
        self._unplaced = 0
        """Of these bytes HDF5 knows, but it will give them a place in the file only when it is flushed."""

    def take(self, num_bytes: int, *, name: str = "") -> None:
        """Before HDF5 adds these bytes, or a link of that name. OSError where there is no space left."""
        self._unplaced += 2 * len(name.encode(errors="replace")) + 256  # an index is at least half full
        needed = self._end + num_bytes + self._unplaced + AHEAD
        if needed > self._held:
            self._extend(needed)

    def _extend(self, needed: int) -> None:
        """By a quarter more than is needed, so that it is seldom done; by little where the disk is nearly full."""
        generous = needed + min(needed >> 2, MOST_AHEAD) + 3 * AHEAD
        for end in (generous, needed + 3 * AHEAD):
            try:
                allocate(self._descriptor, self._held, end)
            except OSError:
                if end != generous:
                    raise
            else:
                self._held = end
                return

    def flush(self) -> None:
        """Have HDF5 write all that it knows."""
        self._file.flush()
        self._unplaced = 0

    def close(self) -> None:
        """Close the file, and give back what was allocated and never used."""
        self.flush()
        end = self._end
        self._file.close()
        if os.fstat(self._descriptor).st_size > end:
            os.ftruncate(self._descriptor, end)

    @property
    def _end(self) -> int:
        """Where HDF5 would end the file now."""
        return int(self._file.id.get_filesize())


def allocate(descriptor: int, start: int, stop: int) -> None:
    """Give a file its space on the disk from `start` to `stop`. OSError where the disk is full."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, start, stop - start)
    except OSError as error:  # others come from file systems that cannot
        if error.errno in FULL:
            raise
