"""A matrix that another one of the model stands in the place of."""

from collections.abc import Iterator

import torch
from torch import nn

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.products import nearer

NEAREST = 64
"""Others that are looked at, by their names: what is tried does not grow with the layers."""
MOST = 16
"""Others that are tried where nothing cheaper than a run of the span tells them apart; the nearest by name."""
Other = tuple[str, bool, bool]
"""Its name, whether it is turned, and whether its bias came with it."""


def swapped(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_swapped, or, where the two are the halves of a gated feed-forward, mlp.gate_up_swapped."""
    found = matrices(case.program)
    with torch._C.DisableTorchFunction():  # a mode of another precision would answer with copies
        weights = {n: p.detach() for n, p in case.model.named_parameters() if p.dim() in (1, 2)} if found else {}
    for matrix in found:
        with torch._C.DisableTorchFunction():
            others = dict(_others(matrix, weights))
        likely = list(nearer(case, matrix, ((other, weight_OI) for other, weight_OI in others.items())))
        if likely:
            yield _swapped(case.model, matrix, {other: others[other] for other in likely[:MOST]}, weights)


def _others(matrix: Matrix, weights: dict[str, torch.Tensor]) -> Iterator[tuple[Other, torch.Tensor]]:
    """As [O, I], the model's matrices that fit, a square one both ways; most words in common first."""
    ours = matrix.weight_OI
    shapes = {matrix.leaf.tensor.shape, matrix.leaf.tensor.T.shape}
    fitting = [name for name, weight in weights.items() if weight.shape in shapes and name != matrix.leaf.name]
    for name in _near_by_name(matrix.leaf.name, fitting)[:NEAREST]:
        like = weights[name].T if matrix.is_IO else weights[name]
        for turned, way in ((False, like), (True, like.T)):
            if way.shape == ours.shape and not torch.equal(way, ours):
                yield (name, turned, False), way
                if matrix.bias is not None and _bias_of(name, weights) is not None:
                    yield (name, turned, True), way


def _near_by_name(own: str, names: list[str]) -> list[str]:
    words = own.split(".")
    return sorted(names, key=lambda name: -sum(a == b for a, b in zip(words, name.split("."), strict=False)))


def _bias_of(name: str, weights: dict[str, torch.Tensor]) -> torch.Tensor | None:
    return weights.get(f"{name.rpartition('.')[0]}.bias")


def _swapped(
    model: nn.Module, matrix: Matrix, others: dict[Other, torch.Tensor], weights: dict[str, torch.Tensor]
) -> Hypothesis:
    ours = matrix.leaf.name
    partner = gate_or_up(model, ours)
    halves = partner is not None and all(name == partner and not turned for name, turned, _ in others)

    def plan(other: Other) -> Plan:
        bias = _bias_of(other[0], weights) if other[2] else None
        return matrix.holding(others[other], bias)

    def message(other: Other) -> str:
        turned = ", transposed," if other[1] else ""
        return f"{other[0]}{turned} stands in the place of {ours}: look at the converter's name map"

    if halves:
        owner = ours.rpartition(".")[0].rpartition(".")[0]
        return Hypothesis(
            "mlp.gate_up_swapped",
            plan,
            lambda _: f"{partner} and {ours} have changed places: look at the converter's name map",
            tuple(others),
            reference_value=f"{owner}: gate, up",
            candidate_value=lambda _: "up, gate",
        )
    return Hypothesis(
        "linear.weight_swapped",
        plan,
        message,
        tuple(others),
        reference_value=ours,
        candidate_value=lambda other: other[0],
    )


def gate_or_up(model: nn.Module, name: str) -> str | None:
    """The other one of a gated feed-forward's first two matrices.

    Such a block has three matrices and no more: two [F, D], which are multiplied with each other, and one [D, F].
    """
    owner, own = name.rpartition(".")[0].rpartition(".")[0], dict(model.named_parameters())
    inside = {n: p for n, p in own.items() if n.startswith(f"{owner}.") and p.dim() == 2}
    ours = own.get(name)
    if ours is None or len(inside) != 3 or name not in inside:
        return None
    alike = [n for n, p in inside.items() if n != name and p.shape == ours.shape and p.shape[0] != p.shape[1]]
    back = [n for n, p in inside.items() if n != name and p.shape == ours.T.shape]
    return alike[0] if len(alike) == len(back) == 1 else None


FAMILIES = [swapped]
