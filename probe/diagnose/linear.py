"""Matrices: another tensor's weights, transposed, rows in another order, a bias that was dropped."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.program import Leaf


def bias_missing(case: Case) -> Iterator[Hypothesis]:
    """linear.bias_missing: of a torch linear call, none."""
    for call in case.program.calls:
        for bias in call.inputs[2:3] if call.name == "linear" else ():
            if isinstance(bias, Leaf) and bias.is_weight:
                yield _bias_missing(bias)


def _bias_missing(bias: Leaf) -> Hypothesis:
    return Hypothesis(
        "linear.bias_missing",
        lambda _: Plan(leaves={bias: torch.zeros_like(bias.tensor)}),
        lambda _: f"{bias.name} is not added: look for keys of the checkpoint that nobody read",
        reference_value=bias.name,
    )


def transposed(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_transposed: shapes do not tell where the matrix is square."""
    for leaf in case.program.leaves:
        if leaf.is_weight and leaf.tensor.dim() == 2 and leaf.tensor.shape[0] == leaf.tensor.shape[1]:
            yield _transposed(leaf)


def _transposed(leaf: Leaf) -> Hypothesis:
    return Hypothesis(
        "linear.weight_transposed",
        lambda _: Plan(leaves={leaf: leaf.tensor.T}),
        lambda _: f"{leaf.name} is transposed: [in, out] where [out, in] is meant",
        reference_value=leaf.name,
    )


FAMILIES = [bias_missing, transposed]
