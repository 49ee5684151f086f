"""One name for another point: what a module returns is not what the module of that name returns on the other side.

Recorded from running models and replayed; the bugs behind such taps are found all the same.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from probe.report import Report, Status, Verdict
from tests.conftest import Compare
from tests.zoo.architectures import VOCABULARY, Size, inputs

CHANNELS = 32
FED = inputs("llama", Size(tokens=23))


class Branch(nn.Module):
    """What a layer adds to the residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.up, self.down = nn.Linear(CHANNELS, 2 * CHANNELS), nn.Linear(2 * CHANNELS, CHANNELS)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(self.norm(x_BTC))))


class SumBranch(Branch):
    """With the residual already added, under the same name."""

    def forward(self, x_BTC: Tensor) -> Tensor:
        return x_BTC + super().forward(x_BTC)


class Layer(nn.Module):
    def __init__(self, branch: type[Branch]) -> None:
        super().__init__()
        self.branch = branch()

    def forward(self, x_BTC: Tensor) -> Tensor:
        added_BTC = self.branch(x_BTC)
        return added_BTC if isinstance(self.branch, SumBranch) else x_BTC + added_BTC


class AddLater(Layer):
    """As fused kernels want it: (what it adds, the residual stream without it)."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x_BTC = pair[0] + pair[1]
        return self.branch(x_BTC), x_BTC


class ResidualFirst(Layer):
    """The same pair the other way round."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x_BTC = pair[0] + pair[1]
        return x_BTC, self.branch(x_BTC)


class Model(nn.Module):
    """(logits, last hidden state)."""

    def __init__(self, layer: Callable[[], Layer], *, normed: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.layers = nn.ModuleList(layer() for _ in range(4))
        self.norm = nn.LayerNorm(CHANNELS)
        self.head = nn.Linear(CHANNELS, VOCABULARY, bias=False)
        self.normed = normed

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        x: Any = self.embed(input_ids)
        if isinstance(self.layers[0], (AddLater, ResidualFirst)):
            x = x, torch.zeros_like(x)
        for layer in self.layers:
            x = layer(x)
        last_BTC = x[0] + x[1] if isinstance(x, tuple) else x
        hidden_BTC = self.norm(last_BTC)
        return self.head(hidden_BTC), hidden_BTC if self.normed else last_BTC


def plain() -> Model:
    return Model(lambda: Layer(Branch))


OTHERS: dict[str, Callable[[], Model]] = {
    "tuple's first is what is added": lambda: Model(lambda: AddLater(Branch)),
    "tuple's first is the residual": lambda: Model(lambda: ResidualFirst(Branch)),
    "residual is added inside": lambda: Model(lambda: Layer(SumBranch)),
    "last hidden state is before the norm": lambda: Model(lambda: Layer(Branch), normed=False),
}
EITHER = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def warned(report: Report) -> str:
    return " ".join(check.message for check in report.trust if check.status is Status.WARN) + " ".join(report.notes)


@DTYPES
@EITHER
def test_another_point_under_one_name_is_no_bug_and_is_said(compare: Compare, other, dtype):
    """A tuple's index; hook_attn_out with or without the residual; hidden_states[-1] before or after the norm.

    TransformerLens 1639, 1648, 1317; warpfront/hipfire 258; false cliffs of Modular's.
    """
    report = compare(plain(), other().to(dtype), FED)
    assert report.verdict is Verdict.NOISE, report.first
    assert "point" in warned(report)


@DTYPES
@EITHER
def test_a_bug_behind_it_is_found(compare: Compare, other, dtype):
    candidate = other()
    with torch.no_grad():
        candidate.layers[2].branch.up.weight.mul_(1.5)
    report = compare(plain(), candidate.to(dtype), FED)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == "layers.2.branch.up"
