"""A matrix whose rows, or columns, stand in another order."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.permutations import in_words, permutation
from probe.diagnose.products import Products, nearer, products

FEWEST_TOKENS = 8
"""From which on a channel is like no other by chance: eight numbers of 7 bits each against 2**17 channels."""
MOST_CHANNELS = 16384
MOST_ROLLED = 8
"""Channels, either way."""


def row_order(case: Case) -> Iterator[Hypothesis]:
    """linear.row_order: the weight's rows alone, or those of weight and bias."""
    for matrix in matrices(case.program):
        seen = products(case, matrix)
        if seen is None or len(seen.given_NI) < FEWEST_TOKENS or seen.reference_NO.shape[1] > MOST_CHANNELS:
            continue
        biases = (False,) if matrix.bias is None else (False, True)
        orders = {with_bias: permutation(_with_bias(seen, matrix, with_bias)) for with_bias in biases}
        known = {with_bias: order for with_bias, order in orders.items() if order is not None}
        if known:
            yield _row_order(matrix, known, _read(case))


def _read(case: Case) -> torch.Tensor | None:
    """The candidate's channels in the order in which the mapping reads them; None where that is as they lie."""
    sources = case.error.pair.sources
    columns = sources[0].columns if len(sources) == 1 else None
    if columns is None or len(columns) < 2:
        return None
    return torch.cat([torch.arange(start, stop) for start, stop in columns])


def _row_order(matrix: Matrix, orders: dict[bool, torch.Tensor], read: torch.Tensor | None) -> Hypothesis:
    name = matrix.leaf.name

    def words(with_bias: bool) -> str:
        order = orders[with_bias]
        if read is not None and len(read) == len(order) and torch.equal(order, read):
            return f"as the reference has them, where this runtime wants them {in_words(read.argsort())}"
        return in_words(order)

    def plan(with_bias: bool) -> Plan:
        order = orders[with_bias]
        bias = matrix.bias.tensor.detach()[order] if matrix.bias is not None and with_bias else None
        return matrix.holding(matrix.weight_OI[order], bias)

    return Hypothesis(
        "linear.row_order",
        plan,
        lambda with_bias: (
            f"the rows of {name} are {words(with_bias)}: look for a permutation, a split or a join in the converter"
        ),
        tuple(orders),
        reference_value=name,
        candidate_value=words,
    )


def column_order(case: Case) -> Iterator[Hypothesis]:
    """linear.row_order of a weight that is stored [in, out]: channels that go in are rolled or turned round.

    No product shows one of them alone, so that plain orders are tried.
    """
    for matrix in matrices(case.program):
        weight_OI = matrix.weight_OI
        shifts = [shift for size in range(1, MOST_ROLLED + 1) for shift in (size, -size)]
        orders: dict[int, torch.Tensor] = {
            shift: weight_OI.roll(shift, 1) for shift in shifts if weight_OI.shape[1] > shift
        }
        likely = tuple(nearer(case, matrix, {**orders, 0: weight_OI.flip(1)}.items()))
        if likely:
            yield _column_order(matrix, likely)


def _column_order(matrix: Matrix, shifts: tuple[int, ...]) -> Hypothesis:
    def what(shift: int) -> str:
        return f"rolled by {shift}" if shift else "reversed"

    return Hypothesis(
        "linear.row_order",
        lambda shift: matrix.holding(matrix.weight_OI.roll(shift, 1) if shift else matrix.weight_OI.flip(1)),
        lambda shift: (
            f"the channels that {matrix.leaf.name} is given meet its weights {what(shift)}: "
            "look for a permutation, a split or a join in the converter"
        ),
        shifts,
        reference_value=matrix.leaf.name,
        candidate_value=what,
    )


def _with_bias(seen: Products, matrix: Matrix, with_bias: bool) -> Products:
    if not with_bias or matrix.bias is None:
        return seen
    bias = matrix.bias.tensor.detach().double()
    theirs = bias if seen.factor_NO is None else bias * seen.factor_NO
    return replace(seen, reference_NO=seen.reference_NO + bias, candidate_NO=seen.candidate_NO + theirs)


FAMILIES = [row_order, column_order]
