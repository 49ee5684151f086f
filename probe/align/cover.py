"""From pieces of a weight that were found to whole ones: alone, side by side, or as shards of the input."""

from itertools import takewhile

from probe.align.part import Option, Part
from probe.align.permutation import Ranges
from probe.align.rows import AGREE, Segment
from probe.dump import View


def by_outputs(segments: list[Segment], view: View, *, is_embedding: bool) -> list[Option]:
    """Ways to have all output channels of a weight; a Part's module is the candidate weight's full name here.

    Rows of an embedding are words, not channels: an embedding is matched whole.
    """
    whole = [segment for segment in segments if segment.first == 0 and segment.last >= AGREE * view.count]
    if is_embedding:
        return [(_words(segment, view),) for segment in whole]
    if whole:
        return [(_outputs(segment, view),) for segment in whole]
    chains = (chain for chain in _chains(segments, view.count) if _begin_alike(chain))
    return [tuple(_outputs(segment, view) for segment in chain) for chain in chains]


def by_inputs(segments: list[Segment], view: View) -> list[Option]:
    """Ways to have all input channels, each with all of its output channels in the reference's order.

    One weight that has them all computes the same output. Several (row-parallel shards) compute summands of it.
    """
    whole = [segment for segment in segments if segment.first == 0 and segment.last >= AGREE * view.count]
    if whole:  # with more inputs than these, the output is another sum
        all_of_it = (segment for segment in whole if AGREE * segment.view.count <= view.count)
        return [(_inputs(segment, view),) for segment in all_of_it]
    entire = [segment for segment in segments if segment.rows == ((0, segment.view.count),)]
    chains = _chains(entire, view.count)
    return [tuple(Part(segment.weight.name, is_shard=True) for segment in chain) for chain in chains]


def _outputs(segment: Segment, view: View) -> Part:
    count, length = segment.view.count, segment.view.length
    return Part(segment.weight.name, _some(segment.rows, count), count, _first(view.length, length))


def _inputs(segment: Segment, view: View) -> Part:
    count, length = segment.view.count, segment.view.length
    return Part(segment.weight.name, _first(view.length, length), length, _some(segment.rows, count))


def _words(segment: Segment, view: View) -> Part:
    return Part(segment.weight.name, _first(view.length, segment.view.length), segment.view.length)


def _some(rows: Ranges, count: int) -> Ranges | None:
    """None for all of them in their order."""
    return None if rows == ((0, count),) else rows


def _first(count: int, of: int) -> Ranges | None:
    """The others are padding."""
    return _some(((0, count),), of)


def _chains(segments: list[Segment], count: int) -> list[list[Segment]]:
    """Segments that begin where the one before ended, from the first to the last vector, one chain for each beginning.

    Of several that could go on a chain it is the one with the likest name: layers may be copies of each other.
    """
    by_first: dict[int, list[Segment]] = {}
    for segment in segments:
        by_first.setdefault(segment.first, []).append(segment)
    chains = []
    for start in by_first.get(0, []):
        chain = [start]
        while chain[-1].last < count and (others := by_first.get(chain[-1].last)):
            chain.append(max(others, key=lambda other: _likeness(start.weight.name, other.weight.name)))
        if chain[-1].last == count:
            chains.append(chain)
    return chains


def _begin_alike(chain: list[Segment]) -> bool:
    """Whether the pieces begin at one row in each of their weights, as those of shards and of whole matrices do.

    The end of one weight and the beginning of another are what a split at the wrong row leaves.
    """
    firsts: dict[str, int] = {}
    for segment in chain:
        first = min(start for start, _ in segment.rows)
        firsts[segment.weight.name] = min(first, firsts.get(segment.weight.name, first))
    return len(set(firsts.values())) == 1


def _likeness(name: str, other: str) -> int:
    """How many letters two names have in common, from their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))
