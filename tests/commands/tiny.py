"""Tiny models as py: targets: a reference, a port whose weights nobody recognizes, and factories that go wrong.

B sentences of T tokens, C channels, V vocabulary.
"""

import math
import sys
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, CHANNELS, NUM_BLOCKS = 32, 16, 3


class Block(nn.Module):
    """x + gain * W norm(x); where `overflow` is given, it takes the first channel's place in W norm(x)."""

    def __init__(self, gain: float, overflow: float | None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.linear = nn.Linear(CHANNELS, CHANNELS)
        self.gain = gain
        self.overflow = overflow

    def forward(self, x_BTC: Tensor) -> Tensor:
        out_BTC = self.linear(self.norm(x_BTC)) * self.gain
        if self.overflow is not None:
            out_BTC[..., 0] = self.overflow
        return x_BTC + out_BTC


class Model(nn.Module):
    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(CHANNELS, VOCABULARY, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_BTC = self.embed(input_ids)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return self.head(x_BTC)


KEY = 0x1E3779B1
"""Odd: multiplying by it modulo 2**32 can be undone."""
UNDONE = pow(KEY, -1, 1 << 32)


class Disguised(nn.Module):
    """A linear layer that keeps its weight's bits as whole numbers in a cipher, so that nobody recognizes it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.bits = nn.Parameter(
            _times(linear.weight.detach().contiguous().view(torch.int32), KEY), requires_grad=False
        )
        self.bias_bits = linear.bias if linear.bias is None else linear.bias.detach().view(torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias_bits is None else self.bias_bits.view(torch.float32)
        return F.linear(x, _times(self.bits, UNDONE).view(torch.float32), bias)


def _times(bits: Tensor, number: int) -> Tensor:
    """Modulo 2**32."""
    low = (bits.long() & 0xFFFFFFFF) * (number & 0xFFFF) + (((bits.long() & 0xFFFF) * (number >> 16)) << 16)
    return (low & 0xFFFFFFFF).to(torch.uint32).view(torch.int32)


class Stage(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.matrix = Disguised(block.linear)
        self.gain = block.gain

    def forward(self, x_BTC: Tensor) -> Tensor:
        return x_BTC + self.matrix(F.layer_norm(x_BTC, [CHANNELS])) * self.gain


class Port(nn.Module):
    """Model with other names and other numbers in its parameters."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        table = nn.Linear(VOCABULARY, CHANNELS, bias=False)
        table.weight = nn.Parameter(model.embed.weight.detach().T)
        self.table = Disguised(table)
        self.stages = nn.ModuleList(Stage(block) for block in model.blocks)
        self.out = Disguised(model.head)

    def forward(self, ids: Tensor) -> Tensor:
        x_BTC = self.table(F.one_hot(ids, VOCABULARY).float())
        for stage in self.stages:
            x_BTC = stage(x_BTC)
        return self.out(x_BTC)


class Raising(Model):
    """A Model of no blocks that raises after its embedding."""

    def __init__(self) -> None:
        super().__init__([])

    def forward(self, input_ids: Tensor) -> Tensor:
        self.embed(input_ids)
        raise RuntimeError("no kernel\nfor this device")


def build(gain: float = 1.0, at: int = 1, overflow: str | None = None, seed: int = 0) -> Model:
    """One seed gives one set of weights; block `at` has the gain and the overflow."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(
            [
                Block(gain, float(overflow) if overflow else None) if number == at else Block(1.0, None)
                for number in range(NUM_BLOCKS)
            ]
        ).eval()


def port(gain: float = 1.0) -> Port:
    return Port(build(gain)).eval()


def with_inputs() -> tuple[Model, Tensor]:
    return build(), torch.tensor([[3, 1, 2]])


def with_named_inputs() -> tuple[Model, dict[str, Tensor]]:
    return build(), {"input_ids": torch.tensor([[3, 1, 2]])}


def without_embedding() -> nn.Module:
    return nn.Linear(2, 2)


def stranger() -> nn.Module:
    return nn.Sequential(nn.Embedding(64, 6), nn.Flatten(0, 1), nn.Linear(6, 5)).eval()


def raising() -> nn.Module:
    raise FileNotFoundError("no weights.bin\nin this folder")


def leaving() -> nn.Module:
    sys.exit(0)


def no_module() -> dict[str, float]:
    return {"weights": math.pi}


def raising_in_forward() -> nn.Module:
    return Raising()
