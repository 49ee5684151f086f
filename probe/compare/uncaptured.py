"""What lies inside a span and was not compared: where a run shows few tensors, a span is long, and hides much."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from probe.align.mapping import Mapping
from probe.replay.local_error import LocalError
from probe.report import Finding, Place
from probe.tap import Tap


def with_uncaptured(
    first: Place | None,
    findings: Sequence[Finding],
    mapping: Mapping,
    taps: Sequence[Tap],
    errors: Sequence[LocalError],
) -> tuple[Place | None, tuple[Finding, ...]]:
    """Both with the outputs between the ends of their span that have no counterpart in the candidate.

    Where nothing is known but the place, its module is the one that holds those too; else the one that holds the cause:
    the deepest whose own code ran, so that it is one to look into, and no list of layers. `taps` are the reference's.
    """
    unpaired = {(tap.step, tap.name) for tap in mapping.reference_only}
    code = {error.pair.reference.name: error.code for error in errors}
    ran = {"", *(tap.module for tap in taps)}
    step = first.step if first else 0

    def inside(span: tuple[str, str]) -> tuple[Tap, ...]:
        return _between(span, step, taps, unpaired, code[span[1]]) if span[1] in code else ()

    named = []
    for one in findings:
        hidden = inside(one.span)
        one = replace(one, uncaptured=tuple(tap.name for tap in hidden))
        if one.cause == "unknown" and hidden and len(one.modules) == 1:
            module = _holder([one.module, *(tap.module for tap in hidden)], ran)
            one = replace(one, module=module, modules=(module,))
        named.append(one)
    if first is not None and (hidden := inside(first.span)):
        causes = [one.module for one in named if one.cause != "unknown" and one.span[1] == first.span[1]]
        module = _holder([first.module, *(causes or (tap.module for tap in hidden))], ran)
        first = replace(first, module=module, uncaptured=tuple(tap.name for tap in hidden))
    return first, tuple(named)


def _between(
    span: tuple[str, str], step: int, taps: Sequence[Tap], unpaired: set[tuple[int, str]], code: Collection[str]
) -> tuple[Tap, ...]:
    """The first output of each call of modules that had a part in it; none where the dump has not the span's end."""
    steps = [tap.step for tap in taps if tap.name == span[1]]
    if not steps:
        return ()
    here = [tap for tap in taps if tap.step == (step if step in steps else steps[0])]
    orders = {tap.name: tap.order for tap in here}
    start, end = orders.get(span[0], -1), orders[span[1]]
    returned: dict[tuple[str, int], Tap] = {}
    for tap in here:
        if not tap.is_input:
            returned.setdefault((tap.module, tap.call), tap)
    return tuple(
        tap
        for tap in returned.values()
        if start < tap.order < end
        and (tap.step, tap.name) in unpaired
        and any(name == tap.module or name.startswith(f"{tap.module}.") for name in code)
    )


def _holder(modules: Sequence[str], ran: Collection[str]) -> str:
    """The deepest module of those that `ran` that holds all of them: one of them, or around them."""
    first, *others = (module.split(".") for module in modules)
    for other in others:
        same = [ours == theirs for ours, theirs in zip(first, other, strict=False)]
        first = first[: same.index(False) if False in same else len(same)]
    while first and ".".join(first) not in ran:
        first.pop()
    return ".".join(first)
