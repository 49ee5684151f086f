"""What this input cannot show: usual values whose effect is too small against rounding, and how much more would do."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from probe.diagnose.witness import Witness, together
from probe.tap import template

MOST = 1_000_000
"""Times as many tokens: nobody has so many."""


def untold(witnesses: Sequence[Witness]) -> tuple[str, ...]:
    """A line for what more tokens would show, and one for what none would.

    Asked is the first of a place's usual values, the one most confused.
    """
    groups: dict[tuple[str, str], dict[object, list[Witness]]] = defaultdict(lambda: defaultdict(list))
    for one in witnesses:
        groups[one.cause, template(one.module)[0]][one.reference_value, one.value].append(one)
    times = {kind: together(next(iter(values.values()))).needed for kind, values in groups.items()}
    within_reach = {kind: more for kind, more in times.items() if 1 < more <= MOST}
    beyond = {kind: more for kind, more in times.items() if MOST < more < math.inf}
    said = []
    if within_reach:
        more = max(within_reach.values())
        words = f"about {float(f'{more:.1e}'):,.0f} times as many tokens would show it"
        said.append(_said(within_reach, words))
    if beyond:
        said.append(_said(beyond, "no longer input would show it"))
    return tuple(said)


def _said(times: Mapping[tuple[str, str], float], words: str) -> str:
    """Of the place that needs most."""
    hardest = max(times, key=times.__getitem__)[1] or "the model itself"
    causes = ", ".join(dict.fromkeys(cause for cause, _ in times))
    others = f" (and {len(times) - 1} more places like it)" if len(times) > 1 else ""
    return f"rounding hides whether {causes} is another usual one in {hardest}{others}: {words}"
