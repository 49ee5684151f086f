"""Where the candidate should have each reference weight: by the mapping of modules, and by equal names."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.audit.verdict import template
from probe.align.mapping import Mapping, Slice, Source
from probe.dump import Dump, Weight

OF_MODULES = ("name", "weights", "order", "table")
"""Reasons to pair taps that speak of the two modules; others only say that the two hold one tensor."""
Ranges = tuple[Slice, ...] | None
"""Of the output channels; None: all."""


@dataclass(frozen=True, slots=True)
class Place:
    """Candidate weights that together, one after the other, stand for one reference weight."""

    parts: tuple[tuple[Weight, Ranges], ...]

    def __str__(self) -> str:
        return " + ".join(_part_name(weight, ranges) for weight, ranges in self.parts)

    @property
    def home(self) -> str:
        """The first candidate weight of them."""
        return self.parts[0][0].name

    @property
    def order(self) -> NDArray[np.int64] | None:
        """Of one candidate weight's channels that are not in the reference's order: where each one lies, from 0 on."""
        if len(self.parts) != 1 or not self.parts[0][1]:
            return None
        rows = np.concatenate([np.arange(start, stop) for start, stop in self.parts[0][1]])
        return rows - rows.min() if (np.diff(rows) < 0).any() else None

    @property
    def is_whole(self) -> bool:
        return len(self.parts) == 1 and self.parts[0][1] is None


def _part_name(weight: Weight, ranges: Ranges) -> str:
    if ranges is None:
        return weight.name
    shown = ",".join(f"{start}:{stop}" for start, stop in ranges[:2])
    return f"{weight.name}[{shown}{',...' if len(ranges) > 2 else ''}]"


def places(reference: Dump, candidate: Dump, mapping: Mapping) -> dict[str, Place]:
    """By the reference weight's name; without those whose module has no counterpart, and whose name has none."""
    homes = _homes(mapping)
    ours, theirs = _by_module(reference), _by_module(candidate)
    by_name = {weight.name: weight for weight in candidate.weights}
    found: dict[str, Place] = {}
    for module, weights in ours.items():
        sources = homes.get(module, ())
        for weight in weights:
            chosen = [_counterpart(weight, weights, theirs.get(source.tap.module, [])) for source in sources]
            if chosen and all(chosen):
                parts = [
                    (one, source.columns if _is_of_one_matrix(theirs[source.tap.module]) else None)
                    for one, source in zip(chosen, sources, strict=True)
                    if one
                ]
                found[weight.name] = Place(tuple(parts))
            elif not sources and weight.name in by_name:
                found[weight.name] = Place(((by_name[weight.name], None),))
    return found | _as_in_other_layers(reference, found, by_name)


def _as_in_other_layers(reference: Dump, found: dict[str, Place], by_name: dict[str, Weight]) -> dict[str, Place]:
    """Places of weights that the mapping has no counterpart for, in layers whose like has one.

    A weight that was never loaded is like nothing; of few layers, the others are then no majority for the mapping.
    """
    like = {template(name): place for name, place in found.items()}
    layers: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for name, indices in like:
        layers[name].append(indices)
    taken = {part.name for place in found.values() for part, _ in place.parts}
    more: dict[str, Place] = {}
    for weight in reference.weights:
        name, here = template(weight.name)
        if weight.name in found or weight.tied_to or len(here) != 1 or name not in layers:
            continue
        (there,) = layers[name][0]
        parts = []
        for part, ranges in like[name, (there,)].parts:
            other, indices = template(part.name)
            moved = other.replace("{i}", str(indices[0] + here[0] - there)) if indices else ""
            if moved not in by_name or moved in taken or len(indices) != 1:
                break
            parts.append((by_name[moved], ranges))
        else:
            more[weight.name] = Place(tuple(parts))
    return more


def _homes(mapping: Mapping) -> dict[str, tuple[Source, ...]]:
    """Per reference module, which outputs of which candidate modules stand for its first output; else for its input."""
    homes: dict[str, tuple[Source, ...]] = {}
    inputs: dict[str, tuple[Source, ...]] = {}
    for pair in mapping.pairs:
        of_modules = pair.reason.startswith(OF_MODULES) and all(source.block is None for source in pair.sources)
        if of_modules and pair.reference.is_input == pair.sources[0].tap.is_input:
            (inputs if pair.reference.is_input else homes).setdefault(pair.reference.module, pair.sources)
    return inputs | homes


def _by_module(dump: Dump) -> dict[str, list[Weight]]:
    modules: dict[str, list[Weight]] = defaultdict(list)
    for weight in dump.weights:
        modules[weight.module].append(weight)
    return modules


def _counterpart(weight: Weight, siblings: list[Weight], others: list[Weight]) -> Weight | None:
    """Of one module's weights, the one of the same name; else the only one, or as manieth, of the same kind."""
    leaf = weight.name.rpartition(".")[2]
    same = [other for other in others if other.name.rpartition(".")[2] == leaf]
    if same:
        return same[0]
    alike = [sibling for sibling in siblings if _is_vector(sibling) == _is_vector(weight)]
    others_alike = [other for other in others if _is_vector(other) == _is_vector(weight)]
    if len(others_alike) != len(alike):
        return None
    return others_alike[alike.index(weight)]


def _is_of_one_matrix(weights: list[Weight]) -> bool:
    """Channels of what a module of several returns are not channels of each."""
    return sum(not _is_vector(weight) for weight in weights) < 2


def _is_vector(weight: Weight) -> bool:
    return len(weight.shape) < 2
