"""Where a program multiplies by a matrix of the model.

I channels in, O channels out.
"""

from dataclasses import dataclass

import torch

from probe.diagnose.hypothesis import Plan
from probe.replay.program import Call, Leaf, Program, Value


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
