"""One model inside another: all names of one side are the other's, behind the name of a wrapper's attribute."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

ENOUGH = 0.9
"""Share of the modules with weights that must be there behind the prefix."""


def behind_prefix(ours: Collection[str], theirs: Collection[str], weighted: Collection[str]) -> Mapping[str, str]:
    """By reference module the candidate's, where one side's names are those of the other behind one prefix.

    `weighted` are the reference's modules with weights: they say whether one is meant. Empty where names need none.
    """
    named = [module for module in weighted if module]
    if not named or any(module in theirs for module in named):
        return {}
    mine, others, enough = set(named), set(theirs), ENOUGH * len(named)
    added = Counter(prefix for other in theirs for prefix, tail in _cuts(other) if tail in mine)
    taken = Counter(prefix for module in named for prefix, tail in _cuts(module) if tail in others)
    renamings = [
        *(
            {module: prefix + module for module in ours if module}
            for prefix in sorted(added)
            if added[prefix] >= enough
        ),
        *(
            {module: module.removeprefix(prefix) for module in ours if module.startswith(prefix)}
            for prefix in sorted(taken)
            if taken[prefix] >= enough
        ),
    ]
    for renamed in renamings:
        if sum(renamed.get(module) in theirs for module in named) >= enough:
            return {module: other for module, other in renamed.items() if other in theirs}
    return {}


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """ "a.", "b.c" and "a.b.", "c" of "a.b.c"."""
    for place, character in enumerate(name):
        if character == ".":
            yield name[: place + 1], name[place + 1 :]
