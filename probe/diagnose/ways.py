"""How the candidate computes a place: the legal variant of the arithmetic that gives its numbers bit for bit."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Plan, computed
from probe.diagnose.variants import variants
from probe.replay.local_error import LocalError
from probe.replay.program import Program
from probe.report import Finding

HELPS = 0.9
"""Of the elements that differ: a variant that leaves more than this is not the candidate's."""
LEFT = 0.125
"""Of the elements that differ: what the candidate's own way leaves no more than.

Measured in bf16 and fp16 on norms, activations and attention: the right way leaves 0 to 0.08 (torch's fused attention,
whose sums are its own), a wrong one 0.25 and more."""
MANY = 30
"""Elements that differ; fewer say nothing of how the others were computed."""


@dataclass(frozen=True)
class Way:
    """One place's."""

    plan: Plan
    values: torch.Tensor
    """What it gives, in the candidate's dtype."""
    words: str
    """What it does that the reference does not; "" where nothing, or nothing that is known."""
    differing: int
    """Elements that the candidate has otherwise than the reference would in its dtype."""
    left: int
    """Elements that it has otherwise than this way gives."""


@dataclass(frozen=True)
class Manner:
    """A way without its tensors: what is kept of a place."""

    words: str
    place: LocalError
    count: int
    differing: int
    left: int


def way_of(case: Case, exact: Program, candidate: torch.Tensor, narrow: torch.dtype) -> Way:
    """`candidate` in its own dtype; `exact` is the case's program, run in float64."""
    kind = candidate.dtype

    def unlike(values: torch.Tensor) -> int:
        return int(((values != candidate) & case.counts).sum())

    way = Way(Plan(), case.exact.to(kind), "", 0, 0)
    way = replace(way, differing=unlike(way.values), left=unlike(way.values))
    for group in variants(case, exact, narrow) if way.left else ():
        others = []
        for variant in group:
            plan = variant.plan.joined(way.plan)
            made = computed(case, case.program, plan)
            if made is not None:
                words = " and ".join(word for word in (way.words, variant.words) if word)
                others.append(Way(plan, made.to(kind), words, way.differing, unlike(made.to(kind))))
        best = min(others, key=lambda other: other.left, default=way)
        if best.left < HELPS * way.left:
            way = best
    return way


def manner_of(case: Case, way: Way) -> Manner | None:
    """None where the candidate computes as the reference does, or in a way that is not known."""
    if not way.words or way.differing < MANY or way.left > LEFT * way.differing:
        return None
    return Manner(way.words, case.error, int(case.counts.sum()), way.differing, way.left)


def told(manners: Iterable[Manner]) -> list[Finding]:
    """One finding of `precision.compute` for each way, with all modules that go it; in order of execution."""
    alike: dict[str, list[Manner]] = defaultdict(list)
    for one in manners:
        alike[one.words].append(one)
    return [_finding(words, ones) for words, ones in alike.items()]


def _finding(words: str, manners: list[Manner]) -> Finding:
    first = manners[0].place
    modules = tuple(dict.fromkeys(one.place.module for one in manners))
    many = f"; {len(modules) - 1} more modules do the same" if len(modules) > 1 else ""
    count, differing, left = (sum(getattr(one, what) for one in manners) for what in ("count", "differing", "left"))
    return Finding(
        "precision.compute",
        modules[0],
        modules,
        (first.span_start or "the inputs", first.pair.reference.name),
        f"harmless: the candidate {words}, which the reference does not{many}; "
        f"computed so, {left:,} of {count:,} elements differ, else {differing:,}",
    )
