"""The taps of one dump, found by module and port; and a place in it as a table writes it: `blocks.0.wqkv:out[0:64]`."""

import re
from collections import defaultdict
from dataclasses import dataclass

from probe.align.table.names import Names
from probe.align.table.sizes import Sizes
from probe.dump import Dump
from probe.tap import Tap, tap_name

_PLACE = re.compile(r"(?P<name>[^\[\]:]*)(?::(?P<port>[^\[\]:]+))?(?:\[(?P<ranges>[^\[\]]+)\])?")
_CALL = re.compile(r"(?<=[^.@])@(?P<call>[0-9]{1,9})$")


class Side:
    """One dump's modules and taps."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump
        self.by_name: dict[tuple[int, str], Tap] = {}
        self.main_output: dict[tuple[int, str, int], Tap] = {}
        """By step, module and call: the first tensor that the call returned."""
        self.of_module: dict[str, list[Tap]] = defaultdict(list)
        for tap in dump.module_taps:
            self.by_name[tap.step, tap.name] = tap
            self.of_module[tap.module].append(tap)
            if not tap.is_input:
                self.main_output.setdefault((tap.step, tap.module, tap.call), tap)
        self.modules = Names(self.of_module)


@dataclass(frozen=True, slots=True)
class Place:
    """A module, or a tap of it."""

    module: str
    call: int | None
    """None: as the other side's."""
    port: str | None
    """None: the module as a whole; of one tap's candidate, the port of the same name."""
    ranges: str | None

    def tap(self, side: Side, step: int, call: int, port: str | None) -> Tap | None:
        """`call` and `port` are the reference's; None for a port is the call's first output."""
        call = call if self.call is None else self.call
        port = self.port or port
        if port is None:
            return side.main_output.get((step, self.module, call))
        return side.by_name.get((step, tap_name(self.module, call, port)))


def place(text: str) -> Place:
    """ValueError says, in words, what is wrong with it."""
    found = _PLACE.fullmatch(text)
    if not found:
        raise ValueError(f"cannot read {text[:80]!r}: a module or a tap, with channels as [0:64,128:192]")
    name, call = found["name"], _CALL.search(found["name"])
    module = name[: call.start()] if call else name
    return Place(module, int(call["call"]) if call else None, found["port"], found["ranges"])


def block(ranges: str, sizes: Sizes) -> tuple[int | None, str]:
    """`1,...,0:64` as 1, `0:64`: an index of the first axis, and channels of the last."""
    first, dots, rest = ranges.partition(",...")
    if not dots:
        return None, ranges
    return sizes.value(first), rest.removeprefix(",")


def columns(ranges: str, width: int, sizes: Sizes) -> tuple[tuple[int, int], ...]:
    """Channels `[0:n*d, 64:]` of a tensor with `width` of them. ValueError says what is wrong."""
    found = []
    for text in ranges.split(","):
        first, colon, last = text.partition(":")
        if not colon:
            raise ValueError(f"cannot read the channels [{ranges}]: write them as [0:64,128:192]")
        start = sizes.value(first) if first.strip() else 0
        stop = sizes.value(last) if last.strip() else width
        if not 0 <= start < stop <= width:
            raise ValueError(f"there are no channels {start}:{stop} in a tensor with {width}")
        found.append((start, stop))
    return tuple(found)
