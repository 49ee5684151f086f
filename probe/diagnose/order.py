"""Rows of a matrix in another order: each of the candidate's channels is looked up among the reference's."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, Products, matrices, nearer, products

FEWEST_TOKENS = 8
"""From which on a channel is like no other by chance: eight numbers of 7 bits each against 2**17 channels."""
MOST_CHANNELS = 16384
NUM_TRIED = 64
"""Channels that are looked up before all are."""
FOUND = 0.9
"""Of those tried."""
MOST_ROLLED = 8
"""Channels, either way."""
SAME = 0.1
"""Relative distance under which two channels are the same; the span is run to make sure."""


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
            yield _row_order(matrix, known)


def _row_order(matrix: Matrix, orders: dict[bool, torch.Tensor]) -> Hypothesis:
    name = matrix.leaf.name

    def plan(with_bias: bool) -> Plan:
        order = orders[with_bias]
        bias = matrix.bias.tensor.detach()[order] if matrix.bias is not None and with_bias else None
        return matrix.holding(matrix.weight_OI[order], bias)

    return Hypothesis(
        "linear.row_order",
        plan,
        lambda with_bias: (
            f"the rows of {name} are {in_words(orders[with_bias])}: "
            "look for a permutation, a split or a join in the converter"
        ),
        tuple(orders),
        reference_value=name,
        candidate_value=lambda with_bias: in_words(orders[with_bias]),
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


def permutation(seen: Products) -> torch.Tensor | None:
    """[O]: of each of the candidate's channels, which of the reference's it is; None where that is no permutation."""
    num_out = seen.reference_NO.shape[1]
    tried = torch.arange(0, num_out, -(-num_out // NUM_TRIED))
    index, is_same = _nearest(seen, tried)
    if is_same.double().mean() < FOUND or bool((index == tried).all()):
        return None
    index, _ = _nearest(seen, torch.arange(num_out))
    is_permutation = len(set(index.tolist())) == num_out
    return index if is_permutation and not bool((index == torch.arange(num_out)).all()) else None


def _nearest(seen: Products, channels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each candidate channel, the index of the nearest reference channel, and whether it is the same."""
    found, near = [], []
    for some in torch.split(channels, 256):
        factor_NC = seen.counts_NO[:, some].double()
        factor_NC = factor_NC if seen.factor_NO is None else factor_NC * seen.factor_NO[:, some]
        wanted_NC = seen.candidate_NO[:, some].where(seen.counts_NO[:, some], 0.0)
        far_CO = wanted_NC.square().sum(0)[:, None] - 2 * (wanted_NC * factor_NC).T @ seen.reference_NO
        far_CO += factor_NC.square().T @ seen.reference_NO.square()
        least = far_CO.min(1)
        found.append(least.indices)
        near.append(least.values <= SAME**2 * wanted_NC.square().sum(0))
    return torch.cat(found), torch.cat(near)


def in_words(order: torch.Tensor) -> str:
    """What was done to 0, 1, 2, ... to make `order`."""
    count = len(order)
    plain = torch.arange(count)
    if torch.equal(order, plain.roll(int((order == 0).nonzero()))):
        shift = int((order == 0).nonzero())
        return f"rolled by {shift if shift <= count // 2 else shift - count}"
    if torch.equal(order, plain.flip(0)):
        return "reversed"
    for size in (size for size in range(count, 3, -1) if count % size == 0 and size % 2 == 0):
        blocks = plain.reshape(-1, size)
        pairs = blocks.reshape(-1, 2, size // 2).transpose(1, 2).reshape(-1)
        halves = blocks.reshape(-1, size // 2, 2).transpose(1, 2).reshape(-1)
        where = "" if size == count else f" within each {size}"
        if torch.equal(order, pairs):
            return f"interleaved where the reference has halves{where}"
        if torch.equal(order, halves):
            return f"in halves where the reference interleaves them{where}"
    breaks = (order.diff() != 1).nonzero()[:, 0] + 1
    pieces = torch.tensor_split(order, breaks)
    if len(pieces) <= 16:
        return "in another order: " + ", ".join(f"{int(piece[0])}-{int(piece[-1])}" for piece in pieces)
    return "in another order"


FAMILIES = [row_order, column_order]
