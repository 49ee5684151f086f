"""Witnesses of many places put together: what one place cannot prove, all layers may."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from probe.diagnose.witness import Evidence, Witness, together
from probe.report import Finding
from probe.tap import template

POOLS: tuple[Callable[[Witness], Hashable], ...] = (
    lambda one: "",
    lambda one: template(one.module)[0],
    lambda one: one.module,
)
"""All places, the same module in all layers, one module. Fixed beforehand: to choose by evidence would make some."""


@dataclass(frozen=True)
class Proven:
    """What is true of some modules, and what all their places together say of it."""

    witness: Witness
    finding: Finding


@dataclass(frozen=True)
class Sure:
    """One hypothesis of which enough witnesses together are sure."""

    witness: Witness
    evidence: Evidence
    modules: tuple[str, ...]


def proven(witnesses: Sequence[Witness]) -> list[Proven]:
    """One for each cause and value; witnesses in order of execution."""
    claimed: dict[str, list[Sure]] = defaultdict(list)
    for sure in _sure(witnesses):
        for module in sure.modules:
            claimed[module].append(sure)
    best = {module: max(sures, key=lambda one: one.witness.gain) for module, sures in claimed.items()}
    chosen: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for module, sure in best.items():
        chosen[sure.witness.kind].append(module)
    return [_finding(together(_of(witnesses, kind, set(modules))), modules) for kind, modules in chosen.items()]


def _of(witnesses: Iterable[Witness], kind: tuple[object, ...], modules: set[str]) -> list[Witness]:
    return [one for one in witnesses if one.kind == kind and one.module in modules]


def _sure(witnesses: Sequence[Witness]) -> list[Sure]:
    found = []
    for pool in POOLS:
        groups: dict[Hashable, list[Witness]] = defaultdict(list)
        for one in witnesses:
            groups[one.kind, pool(one)].append(one)
        for alike in groups.values():
            whole = together(alike)
            evidence = whole.verdict
            if evidence is not None:
                found.append(Sure(whole, evidence, _modules(alike)))
    return found


def _modules(alike: list[Witness]) -> tuple[str, ...]:
    """Those that do not deny it."""
    each: dict[str, list[Witness]] = defaultdict(list)
    for one in alike:
        each[one.module].append(one)
    return tuple(module for module, ones in each.items() if not together(ones).denied)


def _finding(whole: Witness, modules: list[str]) -> Proven:
    place = whole.places[0]
    evidence = whole.verdict
    sure = f"; {evidence.words}" if evidence else ""
    many = f"; {len(modules) - 1} more modules do the same" if len(modules) > 1 else ""
    finding = Finding(
        whole.cause,
        modules[0],
        tuple(modules),
        (place.span_start or "the inputs", place.pair.reference.name),
        whole.message + many + sure,
        reference_value=whole.reference_value,
        candidate_value=whole.value,
        coefficient=evidence.coefficient if evidence else None,
        stderr=evidence.stderr if evidence else None,
    )
    return Proven(whole, finding)
