"""What attention's mask hides: the future, a window, padding."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from probe.diagnose.case import Case
from probe.diagnose.core import cores
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.mask_value import filled, numbers
from probe.diagnose.masks import Pattern, pattern_of
from probe.diagnose.score_edits import remasked
from probe.diagnose.scores import Scores

MOST_WINDOWS = 64
"""Keys up to which every window is tried; beyond, powers of the root of two, and what lies between the best."""
Mask = Callable[[Pattern], Plan]
"""How a pattern takes the place of the one that is there."""


def in_cores(case: Case) -> Iterator[Hypothesis]:
    """Of each core, the mask that its scores get."""
    for core in cores(case.program):
        scores = Scores(core)
        pattern = pattern_of(scores.hidden)
        if pattern is not None:
            yield from patterns(pattern, partial(_planted, scores), core.module)
        if scores.masks:
            yield from numbers(scores)


def _planted(scores: Scores, pattern: Pattern) -> Plan:
    hidden, value = pattern.hidden(), scores.masked_value
    return Plan(remasked(scores, lambda opened: filled(opened, hidden, value)))


def patterns(pattern: Pattern, plan: Mask, module: str = "") -> Iterator[Hypothesis]:
    """Every mask that is another in one respect."""
    keys = pattern.shape[1]
    yield _window(pattern, plan, module)
    if pattern.ahead is None:
        yield _causal(pattern, plan, module, (0,))
    elif pattern.shape[0] > 1:
        yield _causal(pattern, plan, module, (1, 2, 3, -1, keys))
    if pattern.padding.any():
        yield _padding(pattern, plan, module)


def _window(pattern: Pattern, plan: Mask, module: str) -> Hypothesis:
    keys, own = pattern.shape[1], pattern.window
    steps = {math.ceil(2 ** (half / 2)) for half in range(2 * keys.bit_length())}
    sizes = set(range(1, keys + 1)) if keys <= MOST_WINDOWS else {size for size in steps if size < keys} | {keys}
    has = f"a window of {own}" if own else "no window"

    def said(size: int) -> str:
        return "no window" if size >= keys else f"a window of {size}"

    return Hypothesis(
        "attn.window",
        lambda size: plan(replace(pattern, window=size if size < keys else None)),
        lambda size: (
            f"attention has {said(size)} where the reference has {has}: look at which layers the config's window is "
            "for, and at whether it counts the query itself"
        ),
        tuple(sorted(sizes - {own or keys})),
        scale="integer",
        reference_value=own,
        candidate_value=lambda size: size if size < keys else None,
        module=module,
    )


def _causal(pattern: Pattern, plan: Mask, module: str, values: tuple[int, ...]) -> Hypothesis:
    keys = pattern.shape[1]
    own = "no causal mask" if pattern.ahead is None else "a causal mask"

    def said(ahead: int) -> str:
        if ahead >= keys:
            return "tokens see all of the future"
        if ahead < 0:
            return "tokens do not see themselves"
        return f"tokens see {ahead} of the future" if ahead else "tokens see none of the future"

    return Hypothesis(
        "attn.causal",
        lambda ahead: plan(replace(pattern, ahead=None if ahead >= keys else ahead)),
        lambda ahead: f"{said(ahead)} where the reference has {own}: look at the diagonal of the mask",
        values,
        reference_value=own,
        candidate_value=said,
        module=module,
    )


def _padding(pattern: Pattern, plan: Mask, module: str) -> Hypothesis:
    return Hypothesis(
        "attn.padding_mask",
        lambda _: plan(pattern.unpadded()),
        lambda _: "padding is attended to, which the reference hides: look for an attention_mask that is not passed on",
        reference_value="hidden",
        candidate_value=lambda _: "seen",
        module=module,
    )


FAMILIES = [in_cores]
