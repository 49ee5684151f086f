"""Pieces of one memory never overlap while they are in use, and all of it can be used again."""

from hypothesis import given
from hypothesis import strategies as st

from probe.capture.ring import ALIGNMENT, Ring


@given(st.lists(st.one_of(st.none(), st.integers(0, 700)), max_size=200))
def test_pieces_in_use_never_overlap_and_lie_inside(steps):
    """A number takes so many bytes, None gives the oldest back."""
    ring, pieces = Ring(1024), []
    for step in steps:
        if step is None:
            if pieces:
                ring.give_back()
                del pieces[0]
            continue
        start = ring.take(step)
        if start is None:
            assert pieces, "an empty ring has a place for everything that fits"
            continue
        assert start % ALIGNMENT == 0
        assert start + step <= 1024
        assert all(start >= other + length or start + max(step, 1) <= other for other, length in pieces)
        pieces.append((start, max(step, 1)))


def test_an_empty_ring_begins_at_the_front_again():
    ring = Ring(1024)
    assert [ring.take(512), ring.take(512), ring.take(1)] == [0, 512, None]
    ring.give_back()
    assert [ring.take(448), ring.take(128), ring.take(1)] == [0, None, 448]
    for _ in range(3):
        ring.give_back()
    assert ring.take(1024) == 0


def test_what_is_larger_than_all_of_it_has_no_place():
    assert Ring(1024).take(1025) is None
