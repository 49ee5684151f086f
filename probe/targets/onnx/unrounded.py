"""Parts of a graph run again, as they are and without their roundings to whole numbers: what the file itself says that
rounding does, and nothing else.

A part is all that leads from some values to another one. Its second copy lies beside it in one graph, in which what
was to be rounded is handed on as it is; what comes back with another scale or zero point than it went with is handed
on with that difference.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probe.targets.onnx.graph import Array, Graph, Node
from probe.targets.onnx.part import run_part
from probe.targets.onnx.roundings import Rounding, roundings_of

COPY = "/unrounded"


@dataclass(frozen=True, slots=True)
class Rerun:
    """Values of a part of the graph."""

    as_it_is: dict[str, Array]
    unrounded: dict[str, Array]
    roundings: tuple[Rounding, ...]
    given: dict[str, Array]
    """What each of the roundings was given, by `Rounding.given`."""


class Unrounded:
    """A graph, of which parts are asked for."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._roundings = {one.returned: one for one in roundings_of(graph)}
        self._stored = {one.name: one for one in graph.proto.graph.initializer}

    def __bool__(self) -> bool:
        return bool(self._roundings)

    def rerun(self, fed: Mapping[str, Array], targets: Sequence[str], *, mended: bool = False) -> Rerun | None:
        """Of `targets`, from the values `fed`; None where nothing is rounded on the way, or that cannot be run.

        `mended`: every rounding comes back with the scale and zero point that it went with.
        """
        nodes = self._between(fed, targets)
        if nodes is None:
            return None
        known = {value for node in nodes for value in node.outputs}
        found = [
            one
            for node in nodes
            for value in node.outputs
            if (one := self._roundings.get(value)) and (one.given in known or one.given in fed)
        ]
        if not found:
            return None
        copies: list[Any] = []
        other = self._copied(nodes, found, copies, mended)
        if not any(target in other for target in targets):
            return None
        wanted = [*targets, *(other.get(target, target) for target in targets), *(one.given for one in found)]
        run = [value for value in dict.fromkeys(wanted) if value not in fed]
        values = {**fed, **run_part(self._graph, self._stored, nodes, copies, fed, run)}
        return Rerun(
            {target: values[target] for target in targets},
            {target: values[other.get(target, target)] for target in targets},
            tuple(found),
            {one.given: values[one.given] for one in found},
        )

    def _between(self, fed: Collection[str], targets: Sequence[str]) -> list[Node] | None:
        """In the file's order; None where a graph's input would be needed that is not fed."""
        needed: set[int] = set()
        waiting = [target for target in targets if target not in fed]
        inputs = {one.name for one in self._graph.inputs}
        while waiting:
            value = waiting.pop()
            node = self._graph.producer.get(value)
            if node is None:
                if value in inputs:
                    return None
                continue
            if node.index not in needed:
                needed.add(node.index)
                waiting += [one for one in node.inputs if one and one not in fed]
        return [self._graph.nodes[index] for index in sorted(needed)]

    def _copied(
        self, nodes: Sequence[Node], found: Sequence[Rounding], copies: list[Any], mended: bool
    ) -> dict[str, str]:
        """The copies' names of the values that differ; the copied nodes are appended to `copies`."""
        other: dict[str, str] = {}
        forth = {one.given: one for one in found}
        back = {one.returned: one for one in found}
        for node in nodes:
            rounding = back.get(node.outputs[0])
            if rounding is not None:
                handed_on = other.get(rounding.given, rounding.given)
                if rounding.is_plain or mended:
                    other[rounding.returned] = handed_on
                else:
                    other[rounding.returned] = rounding.returned + COPY
                    copies.extend(_moved(handed_on, rounding))
            elif not (node.op == "QuantizeLinear" and node.inputs[0] in forth) and any(
                value in other for value in node.inputs
            ):
                other |= {value: value + COPY for value in node.outputs if value}
                proto = type(self._graph.proto.graph.node[node.index])()
                proto.CopyFrom(self._graph.proto.graph.node[node.index])
                del proto.input[:], proto.output[:]
                proto.input.extend(other.get(value, value) for value in node.inputs)
                proto.output.extend(other.get(value, value) for value in node.outputs)
                proto.name += COPY
                copies.append(proto)
        return other


def _moved(value: str, rounding: Rounding) -> Iterator[Any]:
    """Nodes that do to a value what a rounding with two scales or zero points does beside rounding."""
    from onnx import helper, numpy_helper

    numbers = {"factor": rounding.factor, "shift": rounding.shift * float(rounding.back_scale.mean())}
    names = {name: f"{rounding.returned}{COPY}/{name}" for name in numbers}
    for name, number in numbers.items():
        constant = numpy_helper.from_array(np.array(number, np.float32), names[name])
        yield helper.make_node("Constant", [], [names[name]], value=constant)
    yield helper.make_node("Mul", [value, names["factor"]], [f"{rounding.returned}{COPY}/times"])
    yield helper.make_node("Add", [f"{rounding.returned}{COPY}/times", names["shift"]], [rounding.returned + COPY])
