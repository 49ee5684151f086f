"""Another reading of a dump: the same file, and other taps."""

from functools import cached_property

from probe.dump.reader import Dump


class View(Dump):
    """What a subclass does not say otherwise is the dump's own. It stays open as long as the dump it is a view of."""

    def __init__(self, recorded: Dump) -> None:
        self._recorded = recorded
        self.path, self.complete = recorded.path, recorded.complete
        self._file, self._descriptor = recorded._file, recorded._descriptor

    def close(self) -> None:
        """Nothing: who opened the dump closes it."""

    @cached_property
    def past(self) -> dict[int, int]:
        return {}
