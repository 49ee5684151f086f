"""What this input cannot show: usual values whose effect is too small against rounding, and how much more would do."""

from collections import defaultdict
from collections.abc import Sequence

from probe.diagnose.witness import Witness, together
from probe.tap import template

ENOUGH = 5.0
"""Standard deviations to be expected of a bug, so that it would be found."""
MOST = 1_000_000
"""Times as many tokens: nobody has so many."""


def untold(witnesses: Sequence[Witness]) -> tuple[str, ...]:
    """One line for all; none where whatever is asked would be told."""
    groups: dict[tuple[str, str], dict[object, list[Witness]]] = defaultdict(lambda: defaultdict(list))
    for one in witnesses:
        groups[one.cause, template(one.module)[0]][one.reference_value, one.value].append(one)
    expected = {kind: max(together(alike).expected for alike in values.values()) for kind, values in groups.items()}
    hidden = {kind: z for kind, z in expected.items() if 0 < z < ENOUGH}
    if not hidden:
        return ()
    times = {kind: (ENOUGH / z) ** 2 for kind, z in hidden.items()}
    within_reach = {kind: more for kind, more in times.items() if more <= MOST}
    hardest = max(within_reach or times, key=times.__getitem__)
    causes = ", ".join(dict.fromkeys(cause for cause, _ in hidden))
    others = f" (and {len(hidden) - 1} more places like it)" if len(hidden) > 1 else ""
    more = f"about {float(f'{times[hardest]:.1e}'):,.0f} times as many tokens would show it"
    said = more if within_reach else "no longer input would show it"
    return (
        f"rounding hides whether {causes} is another usual one in {hardest[1] or 'the model itself'}{others}: {said}",
    )
