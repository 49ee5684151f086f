"""Findings from what explains single places: one bug in many layers is one finding."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from probe.diagnose.case import Case
from probe.diagnose.planting import Planting, once, planting
from probe.diagnose.search import AS_GOOD
from probe.diagnose.tried import Tried
from probe.locate import relative
from probe.replay.local_error import LocalError
from probe.report import Finding
from probe.tap import template


@dataclass(frozen=True)
class Part:
    """One cause at one place; holds no activation."""

    place: LocalError
    cause: str
    module: str
    """Whose code or weight is at fault."""
    reference_value: float | str | None
    candidate_value: float | str | None
    message: str
    before: float
    """Distance between the candidate and what the reference computes there."""
    after: float
    """The same with this cause, and with others that it was found together with."""
    planting: Planting
    harmless: bool = False


@dataclass(frozen=True)
class Found:
    """One bug: a finding, and how it is planted at all its places."""

    finding: Finding
    plantings: tuple[Planting, ...]
    places: tuple[LocalError, ...]
    """In order of execution."""


def parts(case: Case, alternatives: Sequence[Sequence[Tried]]) -> tuple[Part, ...]:
    """What explains a place best, of several causes together each; what does so as well is told in the message."""
    explanation = alternatives[0]
    others = {
        other[0].hypothesis.cause: other[0].hypothesis.message(other[0].value)
        for other in alternatives[1:]
        if other[0].after <= AS_GOOD * explanation[0].after
    }
    others.pop(explanation[0].hypothesis.cause, None)
    as_well = "".join(f"; {cause} explains this input as well: {message}" for cause, message in others.items())
    return tuple(
        Part(
            case.error,
            tried.hypothesis.cause,
            _module(case, tried),
            tried.hypothesis.reference_value,
            tried.hypothesis.candidate_value(tried.value),
            tried.hypothesis.message(tried.value) + as_well,
            case.before,
            tried.after,
            planting(tried.plan, case.error.pair.reference.name),
            tried.hypothesis.harmless,
        )
        for tried in explanation
    )


def moved_norms(found: Sequence[Part]) -> list[Part]:
    """Without norms that seem left out but only come later, behind the rotation: a rope.order at what they feed.

    The norm is then taken out where it was as part of that.
    """
    gone: set[int] = set()
    kept: list[Part] = []
    for part in found:
        if part.cause == "rope.order":
            for norm in found:
                if norm.cause == "norm.missing" and norm.place.pair.reference.name in part.place.taps:
                    if id(norm) not in gone:
                        part = replace(part, planting=norm.planting.joined(part.planting))
                    gone.add(id(norm))
        kept.append(part)
    return [part for part in kept if id(part) not in gone]


def merged(found: Sequence[Part]) -> tuple[Found, ...]:
    """The same cause with the same value is one finding, with all its modules; in order of execution."""
    kinds: dict[tuple[str, ...], list[Part]] = defaultdict(list)
    for part in found:
        kinds[part.cause, _name(part.reference_value), _name(part.candidate_value)].append(part)
    return tuple(
        Found(_finding(alike), once([part.planting for part in alike]), tuple(part.place for part in alike))
        for alike in kinds.values()
    )


def _name(value: float | str | None) -> str:
    """Numbers to two digits; names of weights without the layers' indices."""
    return template(value)[0] if isinstance(value, str) else f"{value:.2g}" if isinstance(value, float) else str(value)


def _module(case: Case, tried: Tried) -> str:
    return tried.hypothesis.module or next(iter([*tried.plan.modules, case.error.module]))


def _finding(alike: list[Part]) -> Finding:
    first = alike[0]
    modules = tuple(dict.fromkeys(part.module for part in alike))
    many = f"; {len(modules) - 1} more modules do the same" if len(modules) > 1 else ""
    return Finding(
        first.cause,
        first.module,
        modules,
        (first.place.span_start or "the inputs", first.place.pair.reference.name),
        first.message + many,
        reference_value=first.reference_value,
        candidate_value=first.candidate_value,
        error_before=relative(first.before, first.place),
        error_after=relative(first.after, first.place),
        harmless=all(part.harmless for part in alike),
    )
