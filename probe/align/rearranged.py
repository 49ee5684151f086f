"""Modules of equal names whose weights have the reference's channels in another order, or padding besides.

An order of rows that another module of the layer undoes (its columns, or the rows they are multiplied with) is no
bug. What one module alone has in another order is: there its name is believed. But a fused matrix holds the queries
and the keys whose orders undo each other.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from probe.align.model import ModuleTable
from probe.align.orientation import input_view, output_view
from probe.align.part import Part
from probe.align.permutation import Ranges, is_rotary_of_some_heads, permutation
from probe.align.rows import AGREE, NEAR
from probe.dump import Axis, Dump, View, Weight
from probe.tap import template


class Rearranged:
    """Of modules that both sides have under one name, those whose channels are not the same in the same order."""

    def __init__(
        self, reference: Dump, candidate: Dump, ours: ModuleTable, theirs: ModuleTable, modules: Iterable[str]
    ) -> None:
        self._reference, self._candidate = reference, candidate
        self._ours, self._theirs = ours, theirs
        others = {weight.name: weight for weight in candidate.weights}
        changed: dict[str, list[tuple[Weight, Weight]]] = defaultdict(list)
        for weight in reference.weights:
            other = others.get(weight.name)
            if len(weight.shape) > 1 and other and other.statistics.hash != weight.statistics.hash:
                changed[weight.module].append((weight, other))
        known = {module: changed[module] for module in modules if module in changed}
        found = {module: part for module, pairs in known.items() if (part := self._part(module, pairs))}
        shuffled = {module for module, pairs in known.items() if self._has_blocks_elsewhere(module, pairs)}
        layers: dict[tuple[int, ...], set[str]] = defaultdict(set)
        for module in {module for module, part in found.items() if part.is_reordered} | shuffled:
            layers[template(module)[1]].add(module)
        alone = set().union(*(modules for modules in layers.values() if len(modules) == 1))
        alone -= {module for module, part in found.items() if part.columns and is_rotary_of_some_heads(part.columns)}
        self.parts = {module: part for module, part in found.items() if module not in alone}
        """Which of the candidate module's channels are the reference's, and in which order."""
        self.shuffled = shuffled - alone
        """Modules of stacked matrices, experts, whose stacks are in another order."""

    def _part(self, module: str, pairs: list[tuple[Weight, Weight]]) -> Part | None:
        if self._ours.num_matrices(module) != 1 or self._theirs.num_matrices(module) != 1:
            return None
        (weight, other) = pairs[0]
        if len(weight.shape) != len(other.shape):
            return None
        view = output_view(weight, self._ours.taps[module])
        inputs = input_view(weight, view)
        other_view, other_inputs = _same_axis(other, view), _same_axis(other, inputs)
        if self._ours.input_kind(module) == "int":  # rows are words
            if not self._starts_with(view, other_view) or other_view.length <= view.length:
                return None
            return Part(module, ((0, view.length),), other_view.length)
        rows = self._found(view, other_view)
        columns = ((0, view.length),) if rows else self._found(inputs, other_inputs)
        rows = rows or ((0, view.count),)
        if columns is None:
            return None
        outputs, taken = _some(rows, other_view.count), _some(columns, other_view.length)
        return Part(module, outputs, other_view.count if outputs else None, taken) if outputs or taken else None

    def _has_blocks_elsewhere(self, module: str, pairs: list[tuple[Weight, Weight]]) -> bool:
        """Whether all of its stacks of matrices have the same ones, in one other order."""
        stacks = [(ours, theirs) for ours, theirs in pairs if len(ours.shape) == 3 and ours.shape == theirs.shape]
        if not stacks or len(stacks) != self._ours.num_matrices(module):
            return False
        orders = {self._found(_rows(ours), _rows(theirs)) for ours, theirs in stacks}
        return len(orders) == 1 and orders.isdisjoint({None, ((0, stacks[0][0].shape[0]),)})

    def _found(self, view: View, other: View) -> Ranges | None:
        """Which of the other's vectors are the view's."""
        if self._starts_with(view, other):
            return ((0, view.count),)
        return permutation(_directions(self._reference, view), _directions(self._candidate, other), NEAR)

    def _starts_with(self, view: View, other: View) -> bool:
        if other.count < view.count:
            return False
        own, found = _directions(self._reference, view), _directions(self._candidate, other)[: view.count]
        return bool((np.abs(own - found).max(axis=1) <= NEAR).mean() >= AGREE)


def _directions(dump: Dump, view: View) -> np.ndarray:
    return dump.sketches.directions[view.first : view.first + view.count].astype(np.float32)


def _same_axis(weight: Weight, view: View) -> View:
    return next((other for other in weight.views if other.axis is view.axis), weight.views[0])


def _rows(weight: Weight) -> View:
    return next(view for view in weight.views if view.axis is Axis.ROWS)


def _some(ranges: Ranges, count: int) -> Ranges | None:
    return None if ranges == ((0, count),) else ranges
