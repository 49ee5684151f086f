"""A run of very many small taps, and one of more than memory holds."""

from pathlib import Path

import torch
from torch import nn

import probe
from tests.bench.measurement import Line, in_turn
from tests.bench.processes import peak

NUM_SMALL, SMALL = 20_000, 1024
"""Taps, and float32 elements of each: 4 KB."""
SMALL_ALLOWED = 2
NUM_LARGE, LARGE = 2000, 1 << 20
"""8.4 GB in taps of 4 MB."""
LARGE_ALLOWED = 256


class Loop(nn.Module):
    """Calls one layer again and again, each time with a new tensor."""

    def __init__(self, num_calls: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ReLU() for _ in range(min(num_calls, 500)))
        self.num_calls = num_calls

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number in range(self.num_calls):
            x = self.layers[number % len(self.layers)](x + 1)
        return x


def loop(num_taps: int, length: int, path: Path | None) -> None:
    """Every call gives two taps: what the layer is given, and what it returns."""
    model, x = Loop(num_taps // 2), torch.zeros(length)
    with torch.no_grad():
        if path is None:
            model(x)
            return
        with probe.record(model, path, functional="none"):
            model(x)


def small_taps(folder: Path) -> Line:
    path = folder / "small.h5"
    seconds = min(in_turn(3, {"record": lambda: loop(NUM_SMALL, SMALL, path)}, path.unlink)["record"])
    subject = f"record {NUM_SMALL:,} taps of 4 KB"
    return Line(subject, f"{seconds:.2f} s", "", f"{seconds:.1f} s", f"{SMALL_ALLOWED} s", seconds <= SMALL_ALLOWED)


def large_dump(folder: Path) -> Line:
    path = folder / "large.h5"
    model, recorded = peak("loop", LARGE), peak("loop", LARGE, path)
    size = path.stat().st_size / 1e9
    path.unlink()
    return Line(
        f"peak memory: record {size:.1f} GB / the model alone",
        f"{recorded:,.0f} MB",
        f"{model:,.0f} MB",
        f"+{recorded - model:,.0f} MB",
        f"{LARGE_ALLOWED}",
        recorded - model <= LARGE_ALLOWED,
    )
