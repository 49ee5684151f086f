"""Findings from what explains single places: one bug in many layers is one finding."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from probe.diagnose.search import Tried
from probe.locate import relative
from probe.replay.local_error import LocalError
from probe.report import Finding
from probe.tap import template


@dataclass(frozen=True)
class Explained:
    """A place at fault and what explains it."""

    place: LocalError
    alternatives: tuple[tuple[Tried, ...], ...]
    """Each explains the place by itself, best first; of several causes together, all stand in one."""
    before: float
    """Distance between the candidate and what the reference computes there."""

    @property
    def best(self) -> tuple[Tried, ...]:
        return self.alternatives[0]


def merged(explained: Sequence[Explained]) -> tuple[Finding, ...]:
    """The same cause with the same value is one finding, with all its modules."""
    kinds: dict[tuple[Any, ...], list[tuple[Explained, Tried]]] = defaultdict(list)
    for one in explained:
        for tried in one.best:
            kinds[_kind(tried)].append((one, tried))
    return tuple(_finding(alike) for alike in kinds.values())


def _kind(tried: Tried) -> tuple[Any, ...]:
    """Numbers to two digits; names of weights without the layers' indices."""
    ours, theirs = tried.hypothesis.reference_value, tried.hypothesis.candidate_value(tried.value)
    return tried.hypothesis.cause, *(f"{v:.2g}" if isinstance(v, float) else _name(v) for v in (ours, theirs))


def _name(value: str | int | None) -> str:
    return template(value)[0] if isinstance(value, str) else str(value)


def module_of(one: Explained, tried: Tried) -> str:
    """Whose code or weight the plan changes."""
    if tried.hypothesis.module:
        return tried.hypothesis.module
    names = [leaf.name.rpartition(".")[0] for leaf in tried.plan.leaves]
    return next(iter([*names, *(call.module for call in tried.plan.edits), one.place.module]))


def _finding(alike: list[tuple[Explained, Tried]]) -> Finding:
    one, tried = alike[0]
    place = one.place
    modules = tuple(dict.fromkeys(module_of(*pair) for pair in alike))
    many = f"; {len(modules) - 1} more modules do the same" if len(modules) > 1 else ""
    return Finding(
        tried.hypothesis.cause,
        modules[0],
        modules,
        (place.span_start or "the inputs", place.pair.reference.name),
        tried.hypothesis.message(tried.value) + many,
        reference_value=tried.hypothesis.reference_value,
        candidate_value=tried.hypothesis.candidate_value(tried.value),
        error_before=relative(one.before, place),
        error_after=relative(tried.after, place),
    )
