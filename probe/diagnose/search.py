"""Which hypotheses explain a place: each with its best value, alone or several together."""

from probe.diagnose.case import Case
from probe.diagnose.few_tokens import through_few_tokens
from probe.diagnose.several import Look, together
from probe.diagnose.tried import Tried, explains, fitted

AS_GOOD = 1.5
"""Times what the best leaves: rounding alone makes two right explanations differ by less."""


def explanations(case: Case, look: Look) -> list[tuple[Tried, ...]]:
    """What brings the error to the floor, best first: single causes, or else several together; may be empty."""
    found = _of_these(case, look)
    if found or case.since is not None:
        return found
    several = through_few_tokens(case, lambda few: _of_these(few, look), look)
    return [several] if several else []


def _of_these(case: Case, look: Look) -> list[tuple[Tried, ...]]:
    """The same, from the tokens of the case alone.

    Of those that leave as little as the best, a cause without a fitted number comes first.
    """
    tried = sorted((fitted(case, hypothesis) for hypothesis in look(case)), key=lambda one: one.after)
    single = [one for one in tried if explains(case, one.after, one.plan)]
    least = min((one.after for one in single), default=0.0)
    single.sort(key=lambda one: (one.after > AS_GOOD * least, bool(one.hypothesis.scale), one.after))
    if single or case.since is not None:  # of a bug that decoding alone shows, there is one at a place
        return [(one,) for one in single]
    several = together(case, tried, look)
    return [several] if several else []
