"""From pieces of a weight that were found to whole ones: alone, side by side, or as shards of the input."""

from probe.align.part import Option, Part
from probe.align.rows import AGREE, Segment
from probe.dump import View


def by_outputs(segments: list[Segment], view: View, *, is_embedding: bool) -> list[Option]:
    """Ways to have all output channels of a weight; a Part's module is the candidate weight's full name here.

    Rows of an embedding are words, not channels: an embedding is matched whole.
    """
    whole = [segment for segment in segments if segment.first == 0 and segment.last >= AGREE * view.count]
    if is_embedding:
        return [(Part(segment.weight.name, None, segment.view.length),) for segment in whole]
    if whole:
        return [(_outputs(segment, view),) for segment in whole]
    chain = _chain(segments, view.count)
    return [tuple(_outputs(segment, view) for segment in chain)] if chain else []


def by_inputs(segments: list[Segment], view: View) -> list[Option]:
    """Ways to have all input channels, each with all of its output channels in the reference's order.

    One weight that has them all computes the same output. Several (row-parallel shards) compute summands of it.
    """
    whole = [segment for segment in segments if segment.first == 0 and segment.last >= AGREE * view.count]
    if whole:
        return [(Part(segment.weight.name, None, segment.view.length),) for segment in whole]
    entire = [segment for segment in segments if segment.rows == ((0, segment.view.count),)]
    chain = _chain(entire, view.count)
    return [tuple(Part(segment.weight.name, is_shard=True) for segment in chain)] if chain else []


def _outputs(segment: Segment, view: View) -> Part:
    count = segment.view.count
    columns = None if segment.rows == ((0, count),) else segment.rows
    return Part(segment.weight.name, columns, count, view.length if segment.view.length > view.length else None)


def _chain(segments: list[Segment], count: int) -> list[Segment]:
    """Segments that begin where the one before ended, from the first to the last vector; empty if there are none."""
    chain, at = [], 0
    for segment in sorted(segments, key=lambda s: (s.first, -s.last)):
        if segment.first == at:
            chain.append(segment)
            at = segment.last
    return chain if at == count else []
