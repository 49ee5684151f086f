"""Two matrices side by side that have changed places, where taps are paired by their weights.

By its weights, the module that computes keys is then taken for the one of values. What each returns is right; it is
what comes after that takes one for the other.
"""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.exchanged import gate_or_up
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import matrices
from probe.replay.program import Leaf


def crossed(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_swapped: what one matrix makes is used in the place of what another one does."""
    own = dict(case.model.named_parameters())
    leaves = {leaf.name: leaf for leaf in case.program.leaves if not leaf.is_weight}
    seen: set[frozenset[str]] = set()
    for tap in [name for name in leaves if name.endswith(":out")]:
        ours = f"{tap.removesuffix(':out')}.weight"
        if ours not in own or own[ours].dim() != 2:
            continue
        for theirs in _beside(ours, own):
            if gate_or_up(case.model, ours) == theirs:
                continue  # that is told by what stands behind the activation
            other = f"{theirs.removesuffix('.weight')}:out"
            made = case.at(other)
            if made is None or made.shape != leaves[tap].tensor.shape or frozenset((tap, other)) in seen:
                continue
            seen.add(frozenset((tap, other)))
            exchanged = {leaves[tap]: made.to(leaves[tap].tensor)}
            if other in leaves:
                exchanged[leaves[other]] = leaves[tap].tensor
            yield _crossed(exchanged, ours, theirs, own)


def _crossed(
    exchanged: dict[Leaf, torch.Tensor], ours: str, theirs: str, own: dict[str, torch.nn.Parameter]
) -> Hypothesis:
    weights = {name: own[name].detach() for name in (ours, theirs)}
    planted = {Leaf(weights[ours], ours, True): weights[theirs], Leaf(weights[theirs], theirs, True): weights[ours]}
    return Hypothesis(
        "linear.weight_swapped",
        lambda _: Plan(leaves={**exchanged, **planted}),
        lambda _: f"{ours} and {theirs} have changed places: look at the converter's name map",
        reference_value=ours,
        candidate_value=lambda _: theirs,
        module=ours.rpartition(".")[0],
    )


def biases(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_swapped: the bias of the matrix beside it."""
    own = dict(case.model.named_parameters())
    for leaf in [matrix.bias for matrix in matrices(case.program) if matrix.bias is not None]:
        others = {name: own[name].detach() for name in _beside(leaf.name, own)}
        if others:
            yield _bias(leaf, others)


def _bias(leaf: Leaf, others: dict[str, torch.Tensor]) -> Hypothesis:
    return Hypothesis(
        "linear.weight_swapped",
        lambda name: Plan(leaves={leaf: others[name]}),
        lambda name: f"{name} stands in the place of {leaf.name}: look at the converter's name map",
        tuple(others),
        reference_value=leaf.name,
    )


def _beside(name: str, own: dict[str, torch.nn.Parameter]) -> Iterator[str]:
    """Weights of the same name and shape in other modules of the same parent."""
    module, _, kind = name.rpartition(".")
    parent = module.rpartition(".")[0]
    if name not in own or not parent:
        return
    for other, weight in own.items():
        is_beside = (
            other.startswith(f"{parent}.") and other.count(".") == name.count(".") and other.endswith(f".{kind}")
        )
        if is_beside and other != name and weight.shape == own[name].shape:
            yield other


FAMILIES = [crossed, biases]
