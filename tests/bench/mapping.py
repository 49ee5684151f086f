"""What pairing two large dumps costs: ten thousand taps and five thousand weights a side, under other names."""

from pathlib import Path

import torch
from torch import nn

import probe
from probe.align.pairs import align
from tests.bench.measurement import Line, in_turn, milliseconds

NUM_LAYERS, NUM_MATRICES, WIDTH = 310, 12, 64
ALLOWED_SECONDS = 5


class Layer(nn.Module):
    def __init__(self, letter: str) -> None:
        super().__init__()
        self.first_norm, self.last_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.names = [f"{letter}{index}" for index in range(NUM_MATRICES)]
        for name in self.names:
            self.add_module(name, nn.Linear(WIDTH, WIDTH, bias=False))

    def forward(self, x_TC: torch.Tensor) -> torch.Tensor:
        x_TC = self.first_norm(x_TC)
        for name in self.names:
            x_TC = x_TC + 0.1 * self.get_submodule(name)(x_TC)
        return self.last_norm(x_TC)


class Model(nn.Module):
    def __init__(self, letter: str) -> None:
        super().__init__()
        self.add_module(f"{letter}_layers", nn.ModuleList(Layer(letter) for _ in range(NUM_LAYERS)))

    def forward(self, x_TC: torch.Tensor) -> torch.Tensor:
        for layer in next(self.children()):
            x_TC = layer(x_TC)
        return x_TC


@torch.no_grad()
def mapping(folder: Path) -> Line:
    torch.manual_seed(0)
    reference, candidate = Model("a"), Model("b")
    for ours, theirs in zip(reference.parameters(), candidate.parameters(), strict=True):
        ours.copy_(torch.randn(ours.shape) / WIDTH**0.5)
        theirs.copy_(ours)
    paths = folder / "many.h5", folder / "many-too.h5"
    for model, path in zip((reference, candidate), paths, strict=True):
        with probe.record(model, path):
            model(torch.ones(8, WIDTH).cumsum(0))

    def pair() -> int:
        with probe.open(paths[0]) as ours, probe.open(paths[1]) as theirs:
            return len(align(ours, theirs).pairs)

    seconds = min(in_turn(2, {"align": pair})["align"])
    with probe.open(paths[0]) as opened:
        subject = f"pair {len(opened.taps):,} taps and {len(opened.weights):,} weights under other names"
    figure = f"{seconds:.1f} s"
    return Line(subject, milliseconds(seconds), "", figure, f"{ALLOWED_SECONDS} s", seconds <= ALLOWED_SECONDS)
