"""What weights say of where a reference module went in the candidate."""

from collections import defaultdict
from dataclasses import replace
from functools import cached_property

from probe.align.cover import by_inputs, by_outputs
from probe.align.model import ModuleTable
from probe.align.orientation import input_view, output_view
from probe.align.part import Option, Part
from probe.align.rows import RowIndex, Segment
from probe.align.vectors import equal_vectors
from probe.dump import Axis, Dump, View, Weight

Options = dict[str, list[Option]]


_OF_ONE_CHANNEL = (Axis.INNER_ROWS, Axis.MIDDLE, Axis.ROWS)


class WeightEvidence:
    """Per reference module, every place where its weights were found. No names are looked at."""

    def __init__(self, reference: Dump, candidate: Dump, ours: ModuleTable, theirs: ModuleTable) -> None:
        self._reference, self._candidate = reference, candidate
        self._ours, self._theirs = ours, theirs
        self._aliases: dict[str, list[str]] = defaultdict(list)
        for weight in candidate.weights:
            self._aliases[weight.tied_to or weight.name].append(weight.module)
        self.options: Options = defaultdict(list)
        """Modules that compute the same: of modules with one matrix, or none and a vector."""
        self.homes: dict[str, set[str]] = defaultdict(set)
        """Modules that hold any of a reference module's matrices."""
        for weight in reference.weights:
            if len(weight.shape) > 1:
                self._add_matrix(weight)
        self._add_vectors()

    def _add_matrix(self, weight: Weight) -> None:
        if self._ours.num_matrices(weight.module) > 1:
            pieces = (self._find(view) for view in weight.views if view.axis in _OF_ONE_CHANNEL)
            found: list[Option] = [(Part(piece.weight.name),) for piece in next(filter(None, pieces), [])]
            self._add_homes(weight.module, found)
            return
        view = output_view(weight, self._ours.taps.get(weight.module, []))
        options = by_outputs(self._find(view), view, is_embedding=self._ours.input_kind(weight.module) == "int")
        if not options:
            view = input_view(weight, view)
            options = by_inputs(self._find(view), view)
        ran = self._add_homes(weight.module, options)
        alone = (option for option in ran if all(self._theirs.is_leaf(part.module) for part in option))
        self.options[weight.module] += alone

    def _add_homes(self, module: str, options: list[Option]) -> list[Option]:
        """The options, with modules in place of weights' names, of those that ran."""
        ran = [option for stored in options for option in self._that_ran(stored)]
        for option in ran:
            self.homes[module].update(part.module for part in option)
        return ran

    def _find(self, view: View) -> list[Segment]:
        sketches = self._reference.sketches
        place = slice(view.first, view.first + view.count)
        asked = sketches.directions[place], sketches.norms[place]
        return self._rows.find(*asked) or self._columns.find(*asked)

    @cached_property
    def _rows(self) -> RowIndex:
        return RowIndex(self._candidate, {Axis.ROWS, Axis.INNER_ROWS})

    @cached_property
    def _columns(self) -> RowIndex:
        """Of weights that are stored the other way round; most models have none."""
        return RowIndex(self._candidate, {Axis.COLUMNS, Axis.INNER_COLUMNS, Axis.MIDDLE})

    def _that_ran(self, option: Option) -> list[Option]:
        """Modules in place of weights' names; of one weight that several modules share, each of them."""
        homes = [[home for home in self._aliases[part.module] if home in self._theirs.taps] for part in option]
        if len(option) == 1:
            return [(replace(option[0], module=home),) for home in homes[0]]
        return (
            [tuple(replace(part, module=home[0]) for part, home in zip(option, homes, strict=True))]
            if all(homes)
            else []
        )

    def _add_vectors(self) -> None:
        vectors = {weight.name: weight for weight in self._candidate.weights}
        lengths = {weight.name: weight.shape[0] for weight in self._reference.weights if len(weight.shape) == 1}
        for name, equal in equal_vectors(self._reference, self._candidate).items():
            module = name.rpartition(".")[0]
            if self._ours.num_matrices(module):
                continue
            for other, _ in equal:
                home, length = vectors[other].module, vectors[other].shape[0]
                if home in self._theirs.taps and not self._theirs.is_alone(home):
                    self.homes[module].add(home)
                if self._ours.is_alone(module) and self._theirs.is_alone(home) and not self._theirs.num_matrices(home):
                    first = ((0, lengths[name]),) if length > lengths[name] else None
                    self.options[module].append((Part(home, first, length if first else None, first),))
