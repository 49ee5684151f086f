"""Matrices: never loaded, transposed, without their bias."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.head import is_tied
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.products import least_change, products
from probe.diagnose.unloaded import NEVER, never
from probe.replay.program import Leaf
from probe.report import WeightFinding


def bias_missing(case: Case) -> Iterator[Hypothesis]:
    """linear.bias_missing: of any product with a matrix, none is added."""
    for matrix in matrices(case.program):
        if matrix.bias is not None:
            yield _bias_missing(matrix.bias)


def _bias_missing(bias: Leaf) -> Hypothesis:
    return Hypothesis(
        "linear.bias_missing",
        lambda _: Plan(leaves={bias: torch.zeros_like(bias.tensor)}),
        lambda _: f"{bias.name} is not added: look for keys of the checkpoint that nobody read",
        reference_value=bias.name,
    )


def transposed(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_transposed: shapes do not tell where the matrix is square."""
    for leaf in dict.fromkeys(matrix.leaf for matrix in matrices(case.program)):
        if leaf.tensor.shape[0] == leaf.tensor.shape[1]:
            yield _transposed(leaf)


def _transposed(leaf: Leaf) -> Hypothesis:
    return Hypothesis(
        "linear.weight_transposed",
        lambda _: Plan(leaves={leaf: leaf.tensor.T}),
        lambda _: f"{leaf.name} is transposed: look for a transposition too many, or too few, in the converter",
        reference_value=leaf.name,
    )


def zeros(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_missing: all zeros."""
    for matrix in matrices(case.program):
        if not is_tied(case, matrix.leaf):
            yield _zeros(matrix)


def _zeros(matrix: Matrix) -> Hypothesis:
    name = matrix.leaf.name
    return Hypothesis(
        "linear.weight_missing",
        lambda _: matrix.holding(torch.zeros_like(matrix.weight_OI)),
        lambda _: f"{name} is all zeros: it was never loaded; look for keys of the checkpoint that nobody read",
        reference_value=name,
        candidate_value=lambda _: "zeros",
    )


def never_loaded(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_missing: another matrix, of which the audit of weights says that it holds nothing of the reference.

    What the candidate multiplied by is not known from a few tokens; the least change of the reference's matrix that
    makes the candidate's products is put in its place.
    """
    for matrix in matrices(case.program):
        said = case.audited.get(matrix.leaf.name)
        if said is None or said.kind not in NEVER or is_tied(case, matrix.leaf):
            continue
        seen = products(case, matrix)
        if seen is not None and seen.is_bare:
            yield _never_loaded(case, matrix, said)


def _never_loaded(case: Case, matrix: Matrix, said: WeightFinding) -> Hypothesis:
    what, message = never(said, matrix.leaf.name)
    return Hypothesis(
        "linear.weight_missing",
        lambda _: matrix.holding(least_change(case, matrix)),
        lambda _: message,
        reference_value=what,
        candidate_value=lambda _: "another matrix",
    )


FAMILIES = [bias_missing, transposed, zeros, never_loaded]
