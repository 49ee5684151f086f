"""What a matrix of the reference was given and made, and which other weights make what the candidate had.

N tokens, I channels in, O channels out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from probe.diagnose.case import Case
from probe.diagnose.matrices import Matrix
from probe.diagnose.values import ADD, MULTIPLY
from probe.replay.program import Program, Result

T = TypeVar("T")
NUM_TOKENS = 32
"""That a product is looked at for before the whole span is run: any two matrices differ on far fewer."""
NUM_CHANNELS = 64
NEARER = 0.7
"""Of the distance before: what leaves more of a product is not worth a run of the span."""


@dataclass(frozen=True)
class Products:
    """What a matrix was given and made, of some of the tokens; its bias is not in it."""

    given_NI: torch.Tensor
    reference_NO: torch.Tensor
    candidate_NO: torch.Tensor
    """What the candidate made, times `factor_NO`; what is added to that, a residual stream, is taken off again."""
    counts_NO: torch.Tensor
    factor_NO: torch.Tensor | None = None
    """What else the product is multiplied by before it is seen, as the gate of a feed-forward block is."""

    @property
    def is_bare(self) -> bool:
        """Whether nothing is done to the product before it is seen."""
        return self.factor_NO is None

    def distance(self, weight_OI: torch.Tensor, channels: slice = slice(None)) -> float:
        """||candidate - given weight^T|| over the elements that count."""
        with torch._C.DisableTorchFunction():  # a mode of another precision would widen all of it
            some_OI = weight_OI[channels]
        made = self.given_NI @ some_OI.to(self.given_NI).T
        made = made if self.factor_NO is None else made * self.factor_NO[:, channels]
        difference = (self.candidate_NO[:, channels] - made)[self.counts_NO[:, channels]]
        return float(torch.linalg.vector_norm(difference))


def products(case: Case, matrix: Matrix) -> Products | None:
    """None where what follows the product within the span hides it."""
    seen = _behind(case.program, matrix)
    if seen is None or case.candidate.dim() < 2 or case.candidate.shape[-1] != len(matrix.weight_OI):
        return None
    num_out = case.candidate.shape[-1]
    rows = case.counts.reshape(-1, num_out).any(1).nonzero()[:, 0]
    if not len(rows):
        return None
    rows = rows[:: -(-len(rows) // NUM_TOKENS)]
    factor_NO, added_NO = (None if x is None else x.reshape(-1, num_out)[rows].double() for x in seen)
    given = case.program.value(matrix.given)
    given_NI = given.reshape(-1, given.shape[-1])[rows].double()
    bias = 0.0 if matrix.bias is None else matrix.bias.tensor.detach().double()
    reference_NO = case.program.value(Result(matrix.call)).reshape(-1, num_out)[rows].double() - bias
    candidate_NO = case.candidate.reshape(-1, num_out)[rows].double() - (
        bias if factor_NO is None else bias * factor_NO
    )
    candidate_NO = candidate_NO if added_NO is None else candidate_NO - added_NO
    return Products(given_NI, reference_NO, candidate_NO, case.counts.reshape(-1, num_out)[rows], factor_NO)


def _behind(program: Program, matrix: Matrix) -> tuple[torch.Tensor | None, torch.Tensor | None] | None:
    """What the product is multiplied by, and what is added to that, up to the span's result; None if more is done."""
    value, shape = program.result, program.value(program.result).shape
    factor: torch.Tensor | None = None
    added: torch.Tensor | None = None
    while isinstance(value, Result) and value.call is not matrix.call:
        inputs = [one for one in value.call.inputs if program.value(one).numel() == shape.numel()]
        makers = [one for one in inputs if any(call is matrix.call for call in Program(one).calls)]
        if len(makers) != 1 or program.value(value).shape[-1:] != shape[-1:]:
            return None
        if value.call.name in MULTIPLY | ADD and len(inputs) == 2:
            other = program.value(next(one for one in inputs if one is not makers[0])).reshape(shape)
            scaled = other if factor is None else other * factor
            if value.call.name in MULTIPLY:
                factor = scaled
            else:
                added = scaled if added is None else added + scaled
        elif value.call.name not in _RESHAPES or len(value.call.inputs) != 1:
            return None
        value = makers[0]
    return (factor, added) if isinstance(value, Result) and not value.path else None


_RESHAPES = {"view", "reshape", "unflatten", "flatten", "_unsafe_view", "contiguous", "to", "float"}


def least_change(case: Case, matrix: Matrix) -> torch.Tensor:
    """[O, I]: of all matrices that make what the candidate had, the one nearest to the reference's."""
    given = case.program.value(matrix.given)
    wanted = (case.candidate - case.exact).where(case.counts, 0.0)
    given_NI, wanted_NO = (x.reshape(-1, x.shape[-1]).double() for x in (given, wanted))
    counting_N = case.counts.reshape(len(wanted_NO), -1).any(1)
    change_IO: torch.Tensor = torch.linalg.pinv(given_NI[counting_N], rtol=1e-10) @ wanted_NO[counting_N]
    return matrix.weight_OI.double() + change_IO.T


def nearer(case: Case, matrix: Matrix, weights: Iterable[tuple[T, torch.Tensor]]) -> Iterator[T]:
    """Keys of the weights [O, I] that explain some of what the candidate has; all, where that is not cheaply told."""
    seen = products(case, matrix)
    every = slice(None) if seen is None else slice(None, None, -(-seen.reference_NO.shape[1] // NUM_CHANNELS))
    before = None if seen is None else seen.distance(matrix.weight_OI, every)
    for key, weight_OI in weights:
        if seen is None or before is None or seen.distance(weight_OI, every) <= NEARER * before:
            yield key
