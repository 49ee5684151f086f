"""What the zoo counts as missed, and a pair in one line."""

from tests.zoo.judge import Outcome

ENOUGH = 5.0
"""Standard deviations from which a bug below the noise must be found."""


def counts(outcome: Outcome) -> bool:
    """Whether the input can tell at all."""
    return outcome.significance is None or outcome.significance >= ENOUGH


def misses(outcomes: list[Outcome]) -> list[str]:
    return [line(one) for one in outcomes if missed(one)]


def missed(one: Outcome) -> bool:
    if one.trouble or one.wrong or one.stray or one.blamed:
        return True
    return bool(one.causes) and counts(one) and not (one.place and all(one.named))


def line(one: Outcome) -> str:
    """What was planted and what was said, in one line."""
    if not one.causes:
        mark = "BLAMED" if one.blamed else "ok"
    elif not one.place:
        mark = "place"
    else:
        mark = "ok" if all(one.named) else "cause"
    mark = "wrong" if one.wrong else mark
    weak = "" if one.significance is None else f" ({'' if counts(one) else 'weak: '}{one.significance:.1f} sd)"
    said = one.trouble or "; ".join(one.findings) or f"{one.verdict}, first {one.first}"
    effect = f" effect {one.effect:.1e}" if one.causes else ""
    planted = "+".join(one.causes) or "benign"
    return f"{mark:6} {one.part} {planted}: {one.name}{effect}{weak} -> {said} ({one.seconds:.2f} s)"
