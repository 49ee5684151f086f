"""One side's model as its dump shows it: modules that ran, in order, and what each of them holds."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

import numpy as np

from probe.align.layouts import number_kind
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.tap import Tap


class ModuleTable:
    """The modules of one dump that ran, and what was seen of them."""

    def __init__(self, dump: Dump) -> None:
        self.taps: dict[str, list[Tap]] = defaultdict(list)
        for tap in dump.module_taps:
            if tap.step == dump.steps[0]:
                self.taps[tap.module].append(tap)
        self.order = {module: index for index, module in enumerate(self.taps)}
        self.weights: dict[str, list[tuple[str, tuple[int, ...]]]] = defaultdict(list)
        for weight in dump.weights:
            if weight.module in self.taps:
                self.weights[weight.module].append((weight.name.rpartition(".")[2], weight.shape))
        self._children: dict[str, set[str]] = defaultdict(set)
        for module in self.taps:
            for parent, child in _steps(module):
                self._children[parent].add(child)
        self._below: dict[str, set[str]] = defaultdict(set)
        for module in self.weights:
            for parent in {module, *(parent for parent, _ in _steps(module))}:
                self._below[parent].add(module)
        self._num_matrices = Counter(weight.module for weight in dump.weights if len(weight.shape) > 1)
        self._dump = dump
        self._given: dict[str, list[Tap]] = {}

    @property
    def weighted(self) -> Collection[str]:
        """Modules with weights in them."""
        return self._below.keys()

    def is_leaf(self, module: str) -> bool:
        """Whether it computes with one matrix of its own and nothing else that was recorded."""
        return self.num_matrices(module) == 1 and not self.children(module)

    def is_alone(self, module: str) -> bool:
        """Whether no module inside has weights: a block's own vectors are used somewhere in it, not at its taps."""
        return self.below(module) <= {module}

    def num_matrices(self, module: str) -> int:
        """Weights of two axes or more that are the module's own."""
        return self._num_matrices[module]

    def input_kind(self, module: str) -> str | None:
        """ "float" or "int" ...: an embedding and a head may share one weight, but not this."""
        return next((number_kind(tap.dtype) for tap in self.taps[module] if tap.is_input), None)

    def given(self, module: str) -> list[Tap]:
        """Its first input; and as if it had been of the tokens alone that are no padding, where there is padding."""
        if module not in self._given:
            tap = next((tap for tap in self.taps.get(module, ()) if tap.is_input), None)
            self._given[module] = [tap, *self._without_padding(tap)] if tap else []
        return self._given[module]

    def _without_padding(self, tap: Tap) -> list[Tap]:
        kept = kept_tokens(self._dump, tap.step)
        if kept is None or kept.all() or tap.shape[:2] != kept.shape or number_kind(tap.dtype) != "float":
            return []
        if not self._dump.has_values(tap):
            return []
        values = self._dump.read(tap)[kept].astype(np.float64)
        low, high, mean, std = (float(figure) for figure in (values.min(), values.max(), values.mean(), values.std()))
        statistics = tap.statistics._replace(minimum=low, maximum=high, mean=mean, std=std)
        return [tap._replace(shape=values.shape, statistics=statistics)]

    def children(self, module: str) -> set[str]:
        """Names of the modules right inside `module`, of those that ran."""
        return self._children.get(module, set())

    def below(self, module: str) -> set[str]:
        """Modules with weights inside `module`, itself included."""
        return self._below.get(module, set())


def _steps(module: str) -> Iterator[tuple[str, str]]:
    """("", "a"), ("a", "b") of "a.b": each module on the way, and the next one's name."""
    parent = ""
    for name in module.split(".") if module else ():
        yield parent, name
        parent = f"{parent}.{name}" if parent else name
