"""Whether two modules were given the same numbers: this tells what they are for before anything went wrong."""

from probe.align.model import ModuleTable
from probe.align.same_tensor import distance


def is_given_the_same(ours: ModuleTable, module: str, theirs: ModuleTable, other: str, *, within: float = 1) -> bool:
    """By the statistics of their first inputs, whole or without padding, to so many roundings."""
    return any(
        given.num_elements == their_given.num_elements and distance(given, their_given) < within
        for given in ours.given(module)
        for their_given in theirs.given(other)
    )
