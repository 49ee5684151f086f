"""What weights say of where a reference module went in the candidate."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from probe.align.rows import RowIndex, Segment
from probe.align.vectors import equal_vectors
from probe.dump import Dump, Weight


@dataclass(frozen=True, slots=True)
class Part:
    """A candidate module, and which channels of its output are meant."""

    module: str
    columns: tuple[tuple[int, int], ...] | None = None
    """None: all."""

    def __str__(self) -> str:
        ranges = ",".join(f"{start}:{stop}" for start, stop in (self.columns or ())[:3])
        return f"{self.module}[{ranges}]" if self.columns else self.module


Option = tuple[Part, ...]
"""Candidate modules that together, side by side, are one reference module; nearly always one."""
Options = dict[str, list[Option]]


def weight_options(reference: Dump, candidate: Dump) -> Options:
    """Per reference module, every place where its weights were found. No names are looked at."""
    aliases: dict[str, list[str]] = defaultdict(list)
    for weight in candidate.weights:
        aliases[weight.tied_to or weight.name].append(weight.module)
    index = RowIndex(candidate)
    options: Options = defaultdict(list)
    has_matrix = set()
    for weight in reference.weights:
        if len(weight.shape) < 2:
            continue
        has_matrix.add(weight.module)
        place = slice(weight.first_row, weight.first_row + weight.num_rows)
        directions = reference.sketches.directions[place].astype(np.float32)
        segments = index.find(directions, reference.sketches.norms[place])
        for option in _covers(segments, weight):
            for part in option[:1] if len(option) == 1 else ():
                options[weight.module] += [(Part(alias, part.columns),) for alias in aliases[part.module]]
            if len(option) > 1:
                options[weight.module].append(tuple(Part(aliases[p.module][0], p.columns) for p in option))
    modules = {weight.name: weight.module for weight in (*reference.weights, *candidate.weights)}
    for name, equal in equal_vectors(reference, candidate).items():
        module = name.rpartition(".")[0]
        if module not in has_matrix:
            options[module] += [(Part(modules[other]),) for other, _ in equal]
    return options


def _covers(segments: list[Segment], weight: Weight) -> list[Option]:
    """Ways to have all rows of `weight`; a Part's module is the candidate weight's full name here.

    Rows of an embedding are words, not channels: an embedding is matched whole.
    """
    whole = [segment for segment in segments if segment.first == 0 and segment.last >= 0.9 * weight.num_rows]
    if whole:
        return [(Part(segment.weight.name, _columns(segment)),) for segment in whole]
    chain, at = [], 0
    for segment in sorted(segments, key=lambda s: (s.first, -s.last)):
        if segment.first == at:
            chain.append(Part(segment.weight.name, _columns(segment)))
            at = segment.last
    return [tuple(chain)] if at == weight.num_rows and chain else []


def _columns(segment: Segment) -> tuple[tuple[int, int], ...] | None:
    rows = segment.weight.num_rows
    return None if segment.rows == ((0, rows),) else segment.rows
