"""Which hypotheses explain a place: each with its best value, alone or several together."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from probe.diagnose.case import Case
from probe.diagnose.few_tokens import through_few_tokens
from probe.diagnose.hypothesis import Hypothesis
from probe.diagnose.in_layers import each_layer, in_layers
from probe.diagnose.several import Look, together
from probe.diagnose.tried import Tried, explains, fitted

AS_GOOD = 1.5
"""Times what the best leaves: rounding alone makes two right explanations differ by less."""
FIT = 20
"""Values that fitting a number takes beside its grid, about."""
FIRST = 0.7
"""Of the allowance: for what may be in all layers. In a span of a whole decoder that is all causes but exchanged and
reordered weights."""
Tell = Callable[[int, int], None]
"""Told how many hypotheses have been tried, of how many."""


@dataclass(frozen=True)
class Searched:
    """What came of a search."""

    alternatives: Sequence[tuple[Tried, ...]] = ()
    """What brings the error to the floor, best first: single causes, or else several together; may be empty."""
    num: int = 0
    """Of all hypotheses."""
    untried: Sequence[Hypothesis] = ()
    """What the place's allowance did not reach for."""


def explanations(case: Case, look: Look, tell: Tell = lambda done, total: None) -> Searched:
    """A span may be too long for all to be tried: see `Case.allowance`."""
    found = _of_these(case, look, tell)
    if found.alternatives or case.since is not None:
        return found
    several = through_few_tokens(case, lambda few: _of_these(few, look).alternatives, look)
    return replace(found, alternatives=[several] if several else [])


def _of_these(case: Case, look: Look, tell: Tell = lambda done, total: None) -> Searched:
    """The same, from the tokens of the case alone: what may be in all layers before what may be in one of them.

    Where the former explain the place, the latter are not asked.
    """
    hypotheses, single_layers = in_layers(list(look(case)))
    num = len(hypotheses) + len(single_layers)
    share = FIRST * (case.allowance - case.forwards)
    first = replace(case, allowance=case.forwards + share) if single_layers else case
    tried, untried = _tried(first, hypotheses, lambda done: tell(done, num))
    found = _explaining(case, tried)
    if single_layers and not found:
        others, left = _tried(case, single_layers, lambda done: tell(len(tried) + done, num))
        tried, untried = [*tried, *others], [*untried, *left]
        found = _explaining(case, tried)
    if not found and case.since is None:  # of a bug that decoding alone shows, there is one at a place
        several = together(case, sorted(tried, key=_after), lambda case: chain(*in_layers(list(look(case)))))
        found = [several] if several else []
    return Searched([each_layer(case, parts) for parts in found], num, untried)


def _tried(
    case: Case, hypotheses: Sequence[Hypothesis], tell: Callable[[int], None]
) -> tuple[list[Tried], list[Hypothesis]]:
    """In the order given; and those that nothing was left for, of the causes that take most runs."""
    found: dict[int, Tried] = {}
    runs: Counter[str] = Counter()
    for one in hypotheses:
        runs[one.cause] += _num_runs(one)
    cheap_first = sorted(range(len(hypotheses)), key=lambda at: runs[hypotheses[at].cause])
    for done, at in enumerate(cheap_first):
        if case.is_spent:
            break
        tell(done)
        found[at] = fitted(case, hypotheses[at])
    return [found[at] for at in sorted(found)], [hypotheses[at] for at in cheap_first if at not in found]


def _num_runs(hypothesis: Hypothesis) -> int:
    return len(hypothesis.values) + (FIT if hypothesis.scale else 0)


def _explaining(case: Case, tried: Iterable[Tried]) -> list[tuple[Tried, ...]]:
    """Of those that leave as little as the best, one of few modules and without a fitted number comes first."""
    single = [one for one in tried if explains(case, one.after, one.plan)]
    least = min(map(_after, single), default=0.0)

    def rank(one: Tried) -> tuple[bool, int, bool, float]:
        return one.after > AS_GOOD * least, len(one.hypothesis.members), bool(one.hypothesis.scale), one.after

    return [(one,) for one in sorted(single, key=rank)]


def _after(one: Tried) -> float:
    return one.after
