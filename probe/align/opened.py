"""The values of two dumps, side by side: a tap's rows in both tables, and both sides' values in one layout."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from probe.align.mapping import Mapping, Numbers, Pair, candidate_values
from probe.align.whole import aligned
from probe.dump import Dump
from probe.dump.joined import fed_to
from probe.dump.unpadded import kept_tokens
from probe.tap import Tap


@dataclass(frozen=True, slots=True)
class Both:
    """What is known of one tap: its rows in the tables, and how to read its values."""

    reference: Tap
    candidate: tuple[Tap, ...]
    pair: Pair | None
    """None of a lone dump, and where the candidate has nothing in its place."""
    read: Callable[[], tuple[Numbers, Numbers | None]]
    """Both sides in the reference's shape; the candidate's is None where there is none. ProbeError where values were
    not kept."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Two dumps as they are compared, or one alone. HDF5 files belong to the thread that opened them."""

    dumps: tuple[Dump, ...]
    """The reference first. Steps that go on from each other are one, padding is left out where the other has none."""
    mapping: Mapping | None = None
    """None of a lone dump."""
    chosen: str = ""
    """The shipped table that was taken by itself; "" where none was."""
    pairs: dict[tuple[int, str], Pair] = field(default_factory=dict)
    """By step and reference tap."""

    def tap(self, step: int, name: str) -> Both:
        """ProbeError, with near misses, where the reference has no such tap."""
        reference = self.dumps[0]
        tap = reference.tap(name, step)
        pair = self.pairs.get((step, tap.name))
        if pair is None:
            return Both(tap, (), None, lambda: (reference.read(tap), None))
        kept = kept_tokens(reference, step) if pair.layout.unpadded else None
        others = tuple(source.tap for source in pair.sources)
        candidate = self.dumps[1]
        return Both(tap, others, pair, lambda: (reference.read(tap), candidate_values(pair, candidate, kept)))

    def partners(self, module: str) -> list[str]:
        """The module's name in each dump; the reference's where the candidate has none."""
        if len(self.dumps) == 1:
            return [module]
        pairs = (pair for pair in self.pairs.values() if pair.reference.module == module)
        return [module, next((pair.sources[0].tap.module for pair in pairs), module)]

    def num_tokens(self, step: int) -> int:
        """That the reference was fed in a step, in each sentence; 0 where nothing tells."""
        return fed_to(self.dumps[0], step)[1]

    def num_sentences(self, step: int) -> int:
        """1 where nothing tells."""
        return fed_to(self.dumps[0], step)[0]


_AROUND: ContextVar[tuple[Dump, Dump, Path | None, Opened] | None] = ContextVar("_AROUND", default=None)
"""What the innermost `opened` block is of."""


def side_by_side(reference: Dump, candidate: Dump, table: Path | None = None) -> Opened:
    """Of two open dumps, aligned. `table` overrides what is inferred; ProbeError where it does not fit."""
    whole = aligned(reference, candidate, table)
    pairs = {(pair.reference.step, pair.reference.name): pair for pair in whole.mapping.shown}
    return Opened((whole.reference, whole.candidate), whole.mapping, whole.chosen, pairs)


@contextmanager
def both_open(reference: Dump | Path | str, candidate: Dump | Path | str) -> Iterator[tuple[Dump, Dump]]:
    """What is opened here is closed when the block ends."""
    with ExitStack() as files:
        ours, theirs = (
            one if isinstance(one, Dump) else files.enter_context(Dump(one)) for one in (reference, candidate)
        )
        yield ours, theirs


@contextmanager
def opened(
    reference: Dump | Path | str, candidate: Dump | Path | str, table: Path | str | None = None
) -> Iterator[Opened]:
    """`side_by_side` of dumps or their paths, `both_open` in the block. Within it the same two open dumps, with the
    same table, are not aligned again."""
    with both_open(reference, candidate) as (ours, theirs):
        path = Path(table) if table is not None else None
        around = _AROUND.get()
        if around is not None and around[0] is ours and around[1] is theirs and around[2] == path:
            yield around[3]
            return
        made = side_by_side(ours, theirs, path)
        token = _AROUND.set((ours, theirs, path, made))
        try:
            yield made
        finally:
            _AROUND.reset(token)
