"""A table read from right to left: what its rows say where the run that they call the candidate is the reference."""

from collections.abc import Sequence

from probe.align.mapping import Layout, Pair, Slice, Source
from probe.align.table.apply import Applied


def turned(applied: Applied) -> Applied:
    """Pairs of one whole tensor each, in another order of channels too; the first in order where a tap has several."""
    found = Applied()
    for pair in applied.pairs.values():
        back = _turned(pair)
        if back is None:
            continue
        key = (back.reference.step, back.reference.name)
        found.pairs.setdefault(key, back)
        found.governed[key] = applied.governed.get((pair.reference.step, pair.reference.name), "")
    return found


def _turned(pair: Pair) -> Pair | None:
    """None where one side has less than the other, or is put together of several."""
    layout, source = pair.layout, pair.sources[0]
    if len(pair.sources) > 1 or source.block is not None or layout.unpadded or not layout.scale:
        return None
    columns = _inverse(source.columns) if source.columns is not None else None
    is_moved = layout.pattern is not None
    if (source.columns is not None and (columns is None or is_moved)) or (is_moved and "(" in str(layout.pattern)):
        return None
    left, _, right = (layout.pattern or "").partition(" -> ")
    back = Layout(
        f"{right} -> {left}" if is_moved else None, scale=1 / layout.scale, offset=-layout.offset / layout.scale
    )
    return Pair(
        source.tap, (Source(pair.reference, columns, source.num_merged),), back, pair.reason, pair.firm, pair.elsewhere
    )


def _inverse(columns: Sequence[Slice]) -> tuple[Slice, ...] | None:
    """Of ranges that are all channels in another order, the ranges that undo it; None of others."""
    begins, place = {}, 0
    for start, stop in columns:
        begins[start] = (place, place + stop - start)
        place += stop - start
    at, found = 0, []
    while at in begins:
        found.append(begins[at])
        at += begins[at][1] - begins[at][0]
    return tuple(found) if at == place and len(found) == len(columns) else None
