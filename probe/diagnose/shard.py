"""Matrices that several ranks hold parts of: a sum that was not put together, or put together in another order."""

from collections.abc import Callable, Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import result, with_value
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.products import nearer
from probe.replay.program import Result

RANKS = (2, 3, 4, 8)


def missing_reduce(case: Case) -> Iterator[Hypothesis]:
    """shard.missing_reduce: one rank's part of the sum, or all parts but one."""
    for matrix in matrices(case.program):
        values = [(ranks, rank, kept) for ranks in _ranks(matrix) for rank in range(ranks) for kept in (True, False)]
        values = [value for value in values if value[0] > 2 or value[2]]
        likely = tuple(nearer(case, matrix, ((value, one_part(matrix.weight_OI, *value)) for value in values)))
        if likely:
            yield _missing_reduce(matrix, likely)


def one_part(weight_OI: torch.Tensor, ranks: int, rank: int, kept: bool) -> torch.Tensor:
    """Zeros in all columns but one rank's, or in that one's."""
    size = weight_OI.shape[1] // ranks
    is_its = torch.arange(weight_OI.shape[1], device=weight_OI.device) // size == rank
    return weight_OI * (is_its if kept else ~is_its)


def _missing_reduce(matrix: Matrix, values: tuple[tuple[int, int, bool], ...]) -> Hypothesis:
    def what(value: tuple[int, int, bool]) -> str:
        ranks, rank, kept = value
        return f"part {rank + 1} of {ranks}" if kept else f"all but part {rank + 1} of {ranks}"

    return Hypothesis(
        "shard.missing_reduce",
        lambda value: matrix.holding(one_part(matrix.weight_OI, *value)),
        lambda value: (
            f"{matrix.leaf.name} sums {what(value)} of its inputs alone: look for a missing all-reduce, or a lost shard"
        ),
        values,
        reference_value="the whole sum",
        candidate_value=what,
    )


def order(case: Case) -> Iterator[Hypothesis]:
    """shard.order: the inputs of a sum in the ranks' other order."""
    for matrix in matrices(case.program):
        weights = ((ranks, reversed_parts(matrix.weight_OI, ranks)) for ranks in _ranks(matrix))
        likely = tuple(nearer(case, matrix, weights))
        if likely:
            yield _order(matrix, likely)


def reversed_parts(weight_OI: torch.Tensor, ranks: int) -> torch.Tensor:
    return torch.cat(weight_OI.chunk(ranks, dim=1)[::-1], dim=1)


def _order(matrix: Matrix, values: tuple[int, ...]) -> Hypothesis:
    return Hypothesis(
        "shard.order",
        lambda ranks: matrix.holding(reversed_parts(matrix.weight_OI, ranks)),
        lambda ranks: (
            f"the {ranks} parts of the inputs of {matrix.leaf.name} come in the opposite order: "
            "look at how shards are gathered, or joined by the converter"
        ),
        values,
        reference_value="in order",
        candidate_value=lambda ranks: f"{ranks} parts, reversed",
    )


def _ranks(matrix: Matrix) -> list[int]:
    """Into which the matrix' inputs can be divided."""
    return [ranks for ranks in RANKS if matrix.weight_OI.shape[1] % ranks == 0]


def given(case: Case) -> Iterator[Hypothesis]:
    """The same two, where they are seen in what a module is given: one part of its channels alone, or in reverse."""
    last = case.program.result
    if case.error.pair.reference.is_input and isinstance(last, Result) and case.exact.dim() > 1:
        ranks = tuple(ranks for ranks in RANKS if case.exact.shape[-1] % ranks == 0)
        yield _given_part(last, tuple((n, rank) for n in ranks for rank in range(n)))
        yield _given_reversed(last, ranks)


def _changed(last: Result, change: Callable[[torch.Tensor], torch.Tensor]) -> Plan:
    return Plan({last.call: result(lambda returned: with_value(returned, last.path, change))})


def _given_part(last: Result, values: tuple[tuple[int, int], ...]) -> Hypothesis:
    def part(value: tuple[int, int]) -> Plan:
        return _changed(last, lambda x: one_part(x.reshape(-1, x.shape[-1]), *value, kept=True).reshape(x.shape))

    return Hypothesis(
        "shard.missing_reduce",
        part,
        lambda value: (
            f"part {value[1] + 1} of {value[0]} of the channels is all that goes into the next sum: "
            "look for a missing all-reduce, or a lost shard"
        ),
        values,
        reference_value="the whole sum",
        candidate_value=lambda value: f"part {value[1] + 1} of {value[0]}",
    )


def _given_reversed(last: Result, values: tuple[int, ...]) -> Hypothesis:
    return Hypothesis(
        "shard.order",
        lambda ranks: _changed(last, lambda x: torch.cat(x.chunk(ranks, dim=-1)[::-1], dim=-1)),
        lambda ranks: f"the {ranks} parts of the channels come in the opposite order: look at how shards are gathered",
        values,
        reference_value="in order",
        candidate_value=lambda ranks: f"{ranks} parts, reversed",
    )


FAMILIES = [missing_reduce, order, given]
