"""Residual blocks to be replayed, with what may be wrong in each."""

import torch
from torch import nn


class Block(nn.Module):
    """A residual block: a norm, two projections, an activation that is no module."""

    def __init__(self, eps: float = 1e-5, *, residual: float = 1.0, tanh: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(32, eps)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)
        self.residual, self.tanh = residual, tanh

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = nn.functional.gelu(self.up(self.norm(x)), approximate="tanh" if self.tanh else "none")
        return self.residual * x + self.down(inner)


class Stack(nn.Module):
    def __init__(self, *blocks: Block) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def stack(**changes: dict[str, object]) -> Stack:
    """Four equal-seeded blocks; `b2={"eps": 1e-3}` changes the third."""
    torch.manual_seed(0)
    return Stack(*(Block(**changes.get(f"b{index}", {})) for index in range(4)))  # type: ignore[arg-type]


INPUTS = {"x": torch.randn(7, 32, generator=torch.Generator().manual_seed(5))}
