"""The errors of a report along the run, as arrays: what `depth` draws.

One place for each reference tap of a module, in the order of execution, the same in every step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.report import Finding, Report, Seen, TapComparison
from probe.tap import template

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Line:
    """One step."""

    step: int
    at: Places
    """Of each number its place."""
    relative: Numbers
    local: Numbers
    """NaN where nothing was replayed; so is `floor`."""
    floor: Numbers
    is_local: NDArray[np.bool_]
    """Where `local` and `floor` are known."""
    is_out: NDArray[np.bool_]
    """Where a module's result is, and not what it was given."""
    is_own: NDArray[np.bool_]
    """Where the ratio of the two is above what rounding does."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers that follow each other."""

    name: str
    """`model.layers`; "" of what is in no layer, `backward` of gradients."""
    start: int
    stop: int
    layers: tuple[tuple[int, int], ...]
    """Number of each, and its first place."""


@dataclass(frozen=True, slots=True)
class Course:
    names: tuple[str, ...]
    """Reference taps, by place."""
    lines: tuple[Line, ...]
    num_functions: int
    """Taps of functions, which are not judged and have no place."""
    num_untold: int
    """Pairs of which the dumps tell no error."""


def course(report: Report, above: float) -> Course:
    """`above`: the ratio from which a local error is one's own."""
    rows = [row for row in report.taps if not _is_functional(row.reference)]
    told = [row for row in rows if row.seen is not Seen.NOTHING]
    places = {name: at for at, name in enumerate(dict.fromkeys(row.reference for row in told))}
    by_step: dict[int, list[TapComparison]] = {}
    for row in told:
        by_step.setdefault(row.step, []).append(row)
    lines = tuple(_line(step, by_step[step], places, above) for step in sorted(by_step))
    return Course(tuple(places), lines, len(report.taps) - len(rows), len(rows) - len(told))


def _line(step: int, rows: Sequence[TapComparison], places: dict[str, int], above: float) -> Line:
    at = np.array([places[row.reference] for row in rows], np.intp)
    order = np.argsort(at, kind="stable")
    rows = [rows[index] for index in order]
    columns = [[row.rel_l2, row.local_error, row.floor, row.ratio] for row in rows]
    known = np.array([row.local_error is not None and row.floor is not None for row in rows])
    relative, local, floor, ratio = np.array(columns, np.float64).T
    is_out = np.array([not _port(row.reference).startswith("in") for row in rows])
    return Line(step, at[order], relative, local, floor, known, is_out, known & ~(ratio <= above))


def place_of(finding: Finding, course: Course) -> list[int]:
    """Where a finding's modules are: where its span ends, and the first tap that each further module returns."""
    places = {name: at for at, name in reversed(list(enumerate(course.names)))}
    found = []
    for module in finding.modules or (finding.module,):
        mine = [finding.span[1]] if module == finding.module else []
        names = [*mine, f"{module}:out", *(name for name in places if name.startswith(f"{module}:"))]
        at = next((places[name] for name in names if name in places), None)
        if at is None:
            at = min((at for name, at in places.items() if name.startswith(f"{module}.")), default=None)
        if at is not None:
            found.append(at)
    return found


def stacks(names: Sequence[str]) -> list[Stack]:
    """Ranges of places."""
    found: list[tuple[str, int, list[tuple[int, int]]]] = []
    for at, name in enumerate(names):
        pattern, indices = template(name.partition(":")[0])
        stack = "backward" if _port(name).startswith("grad") else pattern.partition(".{i}")[0] if indices else ""
        if not found or found[-1][0] != stack:
            found.append((stack, at, []))
        layers = found[-1][2]
        if indices and stack != "backward" and indices[0] not in {number for number, _ in layers}:
            layers.append((indices[0], at))
    ends = [start for _, start, _ in found[1:]] + [len(names)]
    return [Stack(name, start, stop, tuple(layers)) for (name, start, layers), stop in zip(found, ends, strict=True)]


def _port(tap: str) -> str:
    return tap.partition(":")[2]


def _is_functional(tap: str) -> bool:
    module = tap.partition(":")[0]
    return ".@" in module or module.startswith("@")
