"""Work that one thread does behind the model's run: in order, and with no more memory waiting than there is room."""

import os
import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], object]
MOST_WAITING = 256
"""Pieces of work. Whoever has added so many waits until they are done: two threads that both need the interpreter for
small things take it from each other at every step, and are slower together than in turn."""
ENOUGH_WORK, ENOUGH_BYTES = MOST_WAITING, 4 << 20
"""Less than both is left lying for a while: to wake a thread costs as much as to write a small tensor."""
LONGEST_SLEEP = 0.05
"""Seconds that it is left lying."""
LOOK_AGAIN = 1.0
"""Seconds after which whoever waits for the thread looks whether it still lives."""


class Backlog:
    """`make_room` for memory, and `add` the work that reads it and lets it go.

    What goes wrong in a piece of work is kept as `trouble`, and all later work is dropped. Nobody waits here for a
    thread that has died: RuntimeError.
    """

    def __init__(self, capacity: int, *, idle: Work = bool) -> None:
        """`capacity`: bytes that may wait. `idle` is done again and again while there is nothing else to do."""
        self.trouble: BaseException | None = None
        self.capacity = capacity
        self._jobs: deque[tuple[Work, int]] = deque()
        """What to do, and how many bytes it keeps."""
        self._num_bytes = 0
        self._idle = idle
        self._hurry = self._busy = self._closed = False
        self._wants_memory = False
        """Whether half of the room is enough for who waits; else all work has to be done."""
        self._lock = threading.Lock()
        """Entered by itself, never through the conditions: ctrl+c in the middle of theirs would leave it taken."""
        self._work_came, self._work_done = threading.Condition(self._lock), threading.Condition(self._lock)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="probe-writer", daemon=True)
        self._thread.start()

    def make_room(self, num_bytes: int) -> None:
        """Wait until so many bytes may wait too; where there is no room for so many, until nothing else waits."""
        self._wait_until(lambda: not self._num_bytes or self._num_bytes + num_bytes <= self.capacity, wants_memory=True)

    def add(self, work: Work, num_bytes: int = 0, *, at_once: bool = False) -> None:
        """`num_bytes`: there is room for what it keeps. `at_once`: it is worth waking the thread for, if that
        sleeps."""
        if len(self._jobs) >= MOST_WAITING:
            self.drain()
        with self._lock:
            self._jobs.append((work, num_bytes))
            self._num_bytes += num_bytes
            if at_once or self._enough:
                self._work_came.notify()

    def drain(self) -> None:
        """Wait until all work is done."""
        self._wait_until(lambda: not self._jobs and not self._busy)

    def close(self) -> None:
        """Wait until all work is done, and end the thread. A second time it does nothing."""
        self.drain()
        with self._lock:
            self._closed = True
            self._work_came.notify()
        self._thread.join()

    @property
    def _enough(self) -> bool:
        if self._hurry or self._closed:
            return bool(self._jobs)
        return len(self._jobs) >= ENOUGH_WORK or self._num_bytes >= ENOUGH_BYTES

    def _wait_until(self, ready: Callable[[], bool], *, wants_memory: bool = False) -> None:
        if os.getpid() != self._process:
            raise RuntimeError("this process was forked from the one that records")
        with self._lock:
            while not ready():
                if not self._thread.is_alive():
                    raise RuntimeError("the writing thread has died")
                self._hurry, self._wants_memory = True, wants_memory
                self._work_came.notify()
                self._work_done.wait(LOOK_AGAIN)
            self._hurry = self._wants_memory = False

    def _run(self) -> None:
        while True:
            with self._lock:
                self._busy = False
                self._work_done.notify_all()
                if self._closed:
                    return
                if not self._enough:
                    self._work_came.wait(LONGEST_SLEEP)
                self._busy = True
            if not self._jobs:
                self._do(self._idle, 0)
            while self._jobs:
                self._do(*self._jobs.popleft())

    def _do(self, work: Work, num_bytes: int) -> None:
        try:
            if self.trouble is None:
                work()
        except BaseException as error:
            self.trouble = error
        if num_bytes:
            with self._lock:
                self._num_bytes -= num_bytes
                if self._wants_memory and 2 * self._num_bytes <= self.capacity:
                    self._work_done.notify_all()
