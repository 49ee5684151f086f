"""norm.weight_swapped: the weight of another norm of the model, alone or with its bias."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.norm_site import Norm
from probe.diagnose.norm_written import norms
from probe.diagnose.values import bare
from probe.replay.program import Leaf, Result

MOST = 3
"""Weights of other norms that are tried where it shows which are likely."""


def swapped(case: Case) -> Iterator[Hypothesis]:
    own = dict(case.model.named_parameters()) | dict(case.model.named_buffers())
    for norm in norms(case.program):
        for leaf in norm.parts.values():
            others = {
                name: tensor.detach()
                for name, tensor in own.items()
                if tensor.shape == leaf.tensor.shape and name != leaf.name and not torch.equal(tensor, leaf.tensor)
            }
            if others:
                yield _swapped(leaf, _nearest(case, norm, leaf, others))
        if len(norm.parts) > 1:
            together = _whole(norm, own)
            if together:
                yield _swapped_whole(norm, together)
    leaves = {leaf.name: leaf for norm in norms(case.program) for leaf in norm.parts.values()}
    for one, other in combinations(leaves.values(), 2):
        if one.tensor.shape == other.tensor.shape and not torch.equal(one.tensor, other.tensor):
            yield _exchanged(one, other)


def _exchanged(one: Leaf, other: Leaf) -> Hypothesis:
    """Two norms of one span, each with the weight of the other."""
    return Hypothesis(
        "norm.weight_swapped",
        lambda _: Plan(leaves={one: other.tensor, other: one.tensor}),
        lambda _: f"{one.name} and {other.name} have changed places: look at the converter's name map",
        reference_value=one.name,
        candidate_value=lambda _: other.name,
    )


def _nearest(case: Case, norm: Norm, leaf: Leaf, others: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Those that are most like the weight that the candidate seems to have, where the norm's output shows that.

    With y = x w + b, w is sum(x (y - b)) / sum(x^2) over all tokens: what is tried does not grow with the layers.
    """
    last = [norm.call, *norm.uses][-1]
    result = bare(case.program.result)
    is_last = isinstance(result, Result) and result.call is last
    shape = leaf.tensor.shape
    if leaf is not norm.parts.get("weight") or not is_last or not norm.over_last or case.exact.shape[-1:] != shape:
        return others
    bias = norm.parts.get("bias")
    leaves = {leaf: torch.full_like(leaf.tensor, 1 - norm.offset)}
    x = Plan(leaves=leaves | ({bias: torch.zeros_like(bias.tensor)} if bias else {})).run(case).double()
    y = case.candidate.double() - (bias.tensor.double() if bias else 0)
    tokens = tuple(range(x.dim() - 1))
    x, y = (torch.where(case.counts, values, 0.0) for values in (x, y))
    seems = (x * y).sum(tokens) / x.square().sum(tokens) - norm.offset
    order = sorted(others, key=lambda name: float((others[name].double() - seems).square().nansum()))
    return {name: others[name] for name in order[:MOST]}


def _swapped(leaf: Leaf, others: Mapping[str, torch.Tensor]) -> Hypothesis:
    return Hypothesis(
        "norm.weight_swapped",
        lambda name: Plan(leaves={leaf: others[name]}),
        lambda name: f"{name} stands in the place of {leaf.name}: look at the converter's name map",
        tuple(others),
        reference_value=leaf.name,
    )


def _whole(norm: Norm, own: Mapping[str, torch.Tensor]) -> dict[str, dict[Leaf, torch.Tensor]]:
    """Of every other module that has all of a norm's parts, in the same shapes: those."""
    endings = {leaf: leaf.name.rpartition(".")[2] for leaf in norm.parts.values()}
    modules = {leaf.name.rpartition(".")[0] for leaf in endings}
    if len(modules) != 1:
        return {}
    found = {}
    for module in {name.rpartition(".")[0] for name in own} - modules:
        theirs = {leaf: own.get(f"{module}.{ending}") for leaf, ending in endings.items()}
        if all(tensor is not None and tensor.shape == leaf.tensor.shape for leaf, tensor in theirs.items()):
            found[module] = {leaf: tensor.detach() for leaf, tensor in theirs.items() if tensor is not None}
    return found


def _swapped_whole(norm: Norm, others: Mapping[str, Mapping[Leaf, torch.Tensor]]) -> Hypothesis:
    module = next(iter(norm.parts.values())).name.rpartition(".")[0]
    return Hypothesis(
        "norm.weight_swapped",
        lambda name: Plan(leaves=others[name]),
        lambda name: f"the weights of {name} stand in the place of those of {module}: look at the converter's name map",
        tuple(sorted(others)),
        reference_value=module,
    )
