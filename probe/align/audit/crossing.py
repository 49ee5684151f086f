"""Swaps that are the same in every layer: values and names, or values and order of execution, go crosswise.

Where a port has names of its own, the mapping follows the values, and the candidate's weights are then in their places
by definition. What it calls them, and when it uses them, still tells.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from probe.align.audit.verdict import SUSPICIOUS, Kind, Verdict
from probe.dump import Dump

BETWEEN = 2
"""Matrices that run between two norms on both sides. q and k norms may run in either order, v between them, but no two
matrices that come after the one norm and before the other."""


def crossed(verdicts: list[Verdict], reference: Dump, candidate: Dump) -> list[Verdict]:
    """The same verdicts, with pairs that are exchanged called swapped."""
    settled = [v for v in verdicts if (v.comparison and v.comparison.is_same_weight) or _is_found(v)]
    by_name = _by_names([v for v in settled if v.place == v.home])
    by_order = _by_order(settled, reference, candidate)
    checked = []
    for verdict in verdicts:
        for swapped, why in ((by_name, "the names say so"), (by_order, "the candidate uses them in the other order")):
            if verdict.reference in swapped and verdict.kind not in SUSPICIOUS:
                verdict = replace(verdict, kind=Kind.SWAPPED, holds=swapped[verdict.reference], why=why)
        checked.append(verdict)
    return checked


def _is_found(verdict: Verdict) -> bool:
    """Values and order disagreed, so that the mapping has no counterpart; its values lie in one candidate weight."""
    return verdict.kind is Kind.MOVED and verdict.place == verdict.home


def _by_names(settled: list[Verdict]) -> dict[str, str]:
    """The values of `gate` lie in a module called `up`, and those of `up` in one called `gate`, side by side."""
    homes = {verdict.reference: verdict for verdict in settled}
    swapped: dict[str, str] = {}
    for name, verdict in homes.items():
        other = homes.get(f"{_parent(name)}.{_leaf(verdict.home)}")
        crosswise = other is not None and other is not verdict and _leaf(other.home) == _leaf(name)
        if other and crosswise and _parent(other.home) == _parent(verdict.home):
            swapped[name] = other.reference
    return swapped


@dataclass(frozen=True, slots=True)
class _Used:
    """A weight, and when its module ran on either side."""

    name: str
    reference: int
    candidate: int
    leaf: str
    is_whole: bool
    """Nothing else is in the candidate's weight."""


def _by_order(settled: list[Verdict], reference: Dump, candidate: Dump) -> dict[str, str]:
    """Two norms of a layer that are used in the other order, with matrices in between on both sides."""
    ours, theirs = _order(reference), _order(candidate)
    is_matrix = {weight.name: len(weight.shape) > 1 for weight in reference.weights}
    with_matrix = {_module(name) for name, matrix in is_matrix.items() if matrix}
    norms: dict[str, list[_Used]] = defaultdict(list)
    matrices: dict[str, list[_Used]] = defaultdict(list)
    for verdict in settled:
        name, home = _module(verdict.reference), _module(verdict.home)
        if name in ours and home in theirs and _layer(name):
            used = _Used(
                verdict.reference,
                ours[name],
                theirs[home],
                verdict.reference.rpartition(".")[2],
                verdict.place == verdict.home,
            )
            if is_matrix[verdict.reference]:
                matrices[_layer(name)].append(used)
            elif name not in with_matrix and used.is_whole:
                norms[_layer(name)].append(used)
    swapped: dict[str, str] = {}
    for layer, members in norms.items():
        for first in members:
            for second in members:
                exchanged = first.reference < second.reference and second.candidate < first.candidate
                if exchanged and first.leaf == second.leaf and _between(first, second, matrices[layer]) >= BETWEEN:
                    swapped |= {first.name: second.name, second.name: first.name}
    return swapped


def _between(first: _Used, second: _Used, matrices: list[_Used]) -> int:
    """Matrices that run between the two on both sides; fused ones count once."""
    between = [
        matrix
        for matrix in matrices
        if first.reference < matrix.reference < second.reference
        and second.candidate < matrix.candidate < first.candidate
    ]
    return min(len({matrix.reference for matrix in between}), len({matrix.candidate for matrix in between}))


def _order(dump: Dump) -> dict[str, int]:
    """When each module first ran."""
    order: dict[str, int] = {}
    for tap in dump.module_taps:
        order.setdefault(tap.module, tap.order)
    return order


def _layer(name: str) -> str:
    """`model.layers.3.mlp.up` -> `model.layers.3`; "" outside of layers."""
    parts = name.split(".")
    numbers = [index for index, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbers[0] + 1]) if numbers else ""


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _leaf(name: str) -> str:
    """The module's own name, and the parameter's."""
    return ".".join(name.split(".")[-2:])


def _parent(name: str) -> str:
    return ".".join(name.split(".")[:-2])
