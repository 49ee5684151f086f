"""Where a program multiplies by a matrix of the model, and what the candidate had there.

N tokens, I channels in, O channels out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Plan
from probe.replay.program import Call, Leaf, Program, Result, Value

T = TypeVar("T")
NUM_TOKENS = 32
"""That a product is looked at for before the whole span is run: any two matrices differ on far fewer."""
NUM_CHANNELS = 64
NEARER = 0.7
"""Of the distance before: what leaves more of a product is not worth a run of the span."""


@dataclass(frozen=True)
class Matrix:
    """One product with a two-dimensional weight."""

    call: Call
    leaf: Leaf
    given: Value
    is_IO: bool
    """Whether the weight is [in, out], as in GPT-2's Conv1D; else it is [out, in]."""
    bias: Leaf | None

    @property
    def weight_OI(self) -> torch.Tensor:
        weight = self.leaf.tensor.detach()
        return weight.T if self.is_IO else weight

    def holding(self, weight_OI: torch.Tensor, bias_O: torch.Tensor | None = None) -> Plan:
        """The plan in which another weight stands there, and, where it is given, another bias."""
        leaves = {self.leaf: weight_OI.T if self.is_IO else weight_OI}
        return Plan(leaves=leaves if bias_O is None or self.bias is None else {**leaves, self.bias: bias_O})


def matrices(program: Program) -> list[Matrix]:
    """All products with a matrix of the model, in order of execution."""
    found = []
    for call in program.calls:
        inputs = call.inputs
        if call.name == "linear" and len(inputs) > 1 and _is_matrix(inputs[1]):
            found.append(Matrix(call, inputs[1], inputs[0], False, _bias(inputs[2:3])))  # type: ignore[arg-type]
        elif call.name == "addmm" and len(inputs) == 3 and _is_matrix(inputs[2]):
            found.append(Matrix(call, inputs[2], inputs[1], True, _bias(inputs[:1])))  # type: ignore[arg-type]
        elif call.name in ("matmul", "__matmul__", "mm") and len(inputs) == 2:
            turned = _turned(program, inputs[1])
            if turned is not None:
                found.append(Matrix(call, turned, inputs[0], False, None))
            elif _is_matrix(inputs[1]):
                found.append(Matrix(call, inputs[1], inputs[0], True, None))  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class Products:
    """What a matrix was given and made, of some of the tokens; its bias is not in it."""

    given_NI: torch.Tensor
    reference_NO: torch.Tensor
    candidate_NO: torch.Tensor
    counts_NO: torch.Tensor

    def distance(self, weight_OI: torch.Tensor, channels: slice = slice(None)) -> float:
        """||candidate - given weight^T|| over the elements that count."""
        with torch._C.DisableTorchFunction():  # a mode of another precision would widen all of it
            some_OI = weight_OI[channels]
        made = self.given_NI @ some_OI.to(self.given_NI).T
        difference = (self.candidate_NO[:, channels] - made)[self.counts_NO[:, channels]]
        return float(torch.linalg.vector_norm(difference))


def products(case: Case, matrix: Matrix) -> Products | None:
    """None where what follows the product within the span hides it."""
    result = case.program.result
    if not isinstance(result, Result) or result.call is not matrix.call or case.candidate.dim() < 2:
        return None
    num_out = case.candidate.shape[-1]
    rows = case.counts.reshape(-1, num_out).any(1).nonzero()[:, 0]
    if not len(rows):
        return None
    rows = rows[:: -(-len(rows) // NUM_TOKENS)]
    given = case.program.value(matrix.given)
    given_NI = given.reshape(-1, given.shape[-1])[rows].double()
    bias = 0.0 if matrix.bias is None else matrix.bias.tensor.detach().double()
    candidate_NO = case.candidate.reshape(-1, num_out)[rows].double() - bias
    exact_NO = case.exact.reshape(-1, num_out)[rows].double() - bias
    return Products(given_NI, exact_NO, candidate_NO, case.counts.reshape(-1, num_out)[rows])


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


def _is_matrix(value: Value) -> bool:
    return isinstance(value, Leaf) and value.is_weight and value.tensor.dim() == 2


def _bias(values: tuple[Value, ...]) -> Leaf | None:
    return next((value for value in values if isinstance(value, Leaf) and value.is_weight), None)


def _turned(program: Program, value: Value) -> Leaf | None:
    """The matrix that this is the transpose of."""
    if isinstance(value, Leaf) or value.call.name not in ("__get__", "t", "transpose", "permute"):
        return None
    leaf = value.call.inputs[0]
    if isinstance(leaf, Leaf) and _is_matrix(leaf) and program.value(value).shape == leaf.tensor.T.shape:
        return leaf
    return None
