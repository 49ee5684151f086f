"""The errors of a sequence of steps, step by step, as arrays: what `depth` draws beside those of the whole sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from probe.align.opened import Both, Opened, both_open, opened
from probe.dump import Dump
from probe.dump.joined import Span, side_by_side, spans
from probe.dump.unpadded import kept_tokens
from probe.errors import NotKept
from probe.render.plots.course import Course, Line
from probe.render.plots.rounding import gathered
from probe.report import Report
from probe.views import Grid, axes, onset, span_errors

READ = 15_000_000
"""Elements of the reference that are read at most, about two seconds' work; of more every second tap is read, or every
third, and so on."""
PIECE = 4_000
"""Elements that take as long as finding one step's piece of a tap does."""


@dataclass(frozen=True, slots=True)
class BySteps:
    """S steps, at P places of a Course."""

    sequence: int
    """The report's step that they are joined in."""
    names: tuple[str, ...]
    """[S]: `prefill`, `step 1`."""
    at: NDArray[np.intp]
    """[P]."""
    errors: Grid
    """[S, P]: ||c - r|| / ||r|| over the tokens of each step."""
    begins: int | None
    """The first of these steps whose error stands out of rounding where the report first diverges; None where none
    does, or that place is not among these."""
    num_unread: int
    """Places of modules' results of which nothing was read: values that were not kept, or too many of them."""
    num_other: int
    """Sequences that are not shown."""


def by_steps(
    report: Report, course: Course, reference: Dump | Path | str, candidate: Dump | Path | str, table: Path | str | None
) -> BySteps | None:
    """Of the sequence in which the report first diverges, or else the first; None where no step goes on from another,
    or nothing of them can be read."""
    with both_open(reference, candidate) as dumps:
        known = {number: found for number, found in spans(*side_by_side(*dumps)).items() if _line(course, number)}
        if not known:
            return None
        sequence = _chosen(report, known)
        line = _line(course, sequence)
        assert line is not None
        with opened(*dumps, table) as files:
            first = _first(report, course)
            rows, num_places = _errors(files, known[sequence], sequence, line, course, first)
            floor = gathered(report, files.dumps).size
    if not rows:
        return None
    at, errors = np.array(list(rows), np.intp), np.stack(list(rows.values()), axis=1)
    begins = _begins(at, errors, first, floor)
    return BySteps(
        sequence, _names(known[sequence]), at, errors, begins, num_places - len(rows), len(known) - 1
    )  # fmt: skip


def _chosen(report: Report, known: dict[int, tuple[Span, ...]]) -> int:
    """The sequence in which the report first diverges, or else the first. What was replayed tells the recorded step."""
    if report.first is None:
        return min(known)
    step = report.first.step
    holding = [number for number, steps in known.items() if any(span.step == step for span in steps)]
    return next(iter(holding if report.replayed else {step} & set(known)), min(known))


def _line(course: Course, step: int) -> Line | None:
    return next((line for line in course.lines if line.step == step), None)


def _first(report: Report, course: Course) -> int:
    """The place of the first divergence; beyond the last where there is none."""
    if report.first is None or report.first.tap not in course.names:
        return len(course.names)
    return course.names.index(report.first.tap)


def _errors(
    files: Opened, steps: Sequence[Span], sequence: int, line: Line, course: Course, first: int
) -> tuple[dict[int, Grid], int]:
    """[S] by place, and how many places there are that have tokens. `first`: the place where the two diverge."""
    batch = files.num_sentences(sequence), steps[-1].stop
    starts = [span.start for span in steps]
    kept = kept_tokens(files.dumps[0], sequence)
    kept = kept if kept is not None and kept.shape == batch else None
    taps: dict[int, Both] = {}
    for at in line.at[line.is_out].tolist():
        pair = files.pairs.get((sequence, course.names[at]))
        if pair is not None and "float" in pair.reference.dtype and _by_token(pair.reference.shape, batch):
            taps[at] = files.tap(sequence, course.names[at])
    found = {}
    places, sizes = list(taps), [both.reference.num_elements for both in taps.values()]
    for at in (places[index] for index in few(sizes, len(steps), int(np.searchsorted(places, first)))):
        try:
            r, c = taps[at].read()
        except NotKept:
            continue
        assert c is not None
        shape, tokens = _by_token(r.shape, batch) or (r.shape, 0)
        found[at] = span_errors(r.reshape(shape), c.reshape(shape), tokens, starts, kept)
    return found, len(taps)


def few(sizes: Sequence[int], num_steps: int, first: int = 0) -> list[int]:
    """Which of taps of so many elements may be read: evenly over the depth, and those on both sides of where errors
    begin, before `first` and at it, so that no line rises earlier."""
    costs = [size + PIECE * num_steps for size in sizes]
    small = [index for index, cost in enumerate(costs) if cost <= READ]
    thinner = (small[::apart] for apart in range(1, len(small) + 2))
    evenly = next(chosen for chosen in thinner if sum(costs[index] for index in chosen) <= READ)
    return sorted({*evenly, *({first - 1, first} & set(small))})


def _by_token(shape: tuple[int, ...], batch: tuple[int, int]) -> tuple[tuple[int, ...], int] | None:
    """The shape with sentences first, and its axis of tokens; None where it has none. Sentences may lie one after the
    other, [B T, C]."""
    num_sentences, num_tokens = batch
    if num_sentences > 1 and shape and shape[0] == num_sentences * num_tokens:
        return (*batch, *shape[1:], *((1,) if len(shape) == 1 else ())), 1
    if len(shape) < 2:
        return None
    tokens = axes(shape, num_tokens).tokens
    return (shape, tokens) if shape[tokens] == num_tokens else None


def _begins(at: NDArray[np.intp], errors: Grid, first: int, floor: float) -> int | None:
    """At the first of these places that is not before `first`: further on other bugs may be larger."""
    after = np.flatnonzero(at >= first)
    return onset(errors[:, after[:1]], floor) if after.size else None


def _names(steps: Sequence[Span]) -> tuple[str, ...]:
    is_decoded = steps[0].size > 1 == steps[1].size
    names = [f"step {span.step}" for span in steps]
    return ("prefill" if is_decoded else names[0], *names[1:])
