"""Where pieces of a fixed memory lie that are taken and given back in the same order."""

from collections import deque

ALIGNMENT = 64
"""Bytes: any number type may begin there, and a line of the processor's cache does."""


class Ring:
    """Places in `capacity` bytes. What is given back first is used again first, while it is still in a cache."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._pieces: deque[tuple[int, int]] = deque()
        """Start and end of every piece in use, oldest first."""

    def take(self, num_bytes: int) -> int | None:
        """Where the next piece begins; None while there is no place for it."""
        length = max(-(-num_bytes // ALIGNMENT), 1) * ALIGNMENT
        start = self._free(length)
        if start is not None:
            self._pieces.append((start, start + length))
        return start

    def give_back(self) -> None:
        """The oldest piece is no longer used."""
        self._pieces.popleft()

    def _free(self, length: int) -> int | None:
        if not self._pieces:
            return 0 if length <= self.capacity else None
        oldest, end = self._pieces[0][0], self._pieces[-1][1]
        if end <= oldest:  # the newest lie before the oldest
            return end if end + length <= oldest else None
        if end + length <= self.capacity:
            return end
        return 0 if length <= oldest else None
