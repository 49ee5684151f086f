"""Tiny models as py: targets: a reference, a port of it, a stranger, and factories that go wrong.

B sentences of T tokens, C channels, V vocabulary.
"""

import sys

import torch
from torch import Tensor, nn

VOCABULARY, CHANNELS, NUM_BLOCKS = 32, 16, 3


class Block(nn.Module):
    """x + W norm(x), times `gain`; where `overflow`, the first channel of what leaves the matrix is infinite or NaN."""

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
    def __init__(self, gains: list[float], overflow: float | None) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.blocks = nn.ModuleList(Block(gain, overflow if number == 1 else None) for number, gain in enumerate(gains))
        self.head = nn.Linear(CHANNELS, VOCABULARY, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x_BTC = self.embed(input_ids)
        for block in self.blocks:
            x_BTC = block(x_BTC)
        return self.head(x_BTC)


def build(gain: float = 1.0, at: int = 1, overflow: str = "", seed: int = 0) -> nn.Module:
    """One seed gives one set of weights; in block `at` the matrix's output is multiplied by `gain`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gains = [gain if number == at else 1.0 for number in range(NUM_BLOCKS)]
        return Model(gains, float(overflow) if overflow else None).eval()


def with_inputs() -> tuple[nn.Module, Tensor]:
    return build(), torch.tensor([[1, 2, 3]])


class Raising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)

    def forward(self, input_ids: Tensor) -> Tensor:
        self.embed(input_ids)
        raise RuntimeError("the kernel is not there\nand a second line")


def raising_forward() -> nn.Module:
    return Raising()


def raising() -> nn.Module:
    raise FileNotFoundError("weights.bin\nis missing")


def leaving() -> nn.Module:
    sys.exit(0)


def no_module() -> dict[str, int]:
    return {"weights": 3}


def stranger() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(64, 6), nn.Flatten(0, 1), nn.Linear(6, 5)).eval()
