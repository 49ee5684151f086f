"""What recording costs over a plain run and a plain write of as many bytes."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import probe
from probe.capture import weights
from tests.bench.llama import forward
from tests.bench.measurement import Line, in_turn, milliseconds, ratio_line

ALLOWED = 1.05


def record(model: nn.Module, ids: torch.Tensor, path: Path, functional: str = "none") -> None:
    with torch.no_grad(), probe.record(model, path, functional=functional):
        model(ids)


def recording(model: nn.Module, ids: torch.Tensor, folder: Path) -> list[Line]:
    """Of a model whose weights were measured before, and once more what measuring them costs."""
    dump, plain = folder / "recorded.h5", folder / "written"
    record(model, ids, dump)
    num_bytes = dump.stat().st_size
    content = memoryview(np.random.default_rng(0).bytes(num_bytes))
    with probe.open(dump) as opened:
        num_taps = len(opened.taps)
    dump.unlink()

    def tidy() -> None:
        for path in (dump, plain):
            path.unlink(missing_ok=True)

    actions = {
        "forward": forward(model, ids),
        "write": lambda: write(content, plain),
        "record": lambda: record(model, ids, dump),
        "record functions too": lambda: record(model, ids, dump, "auto"),
    }
    seconds = in_turn(9, actions, tidy)
    subject = f"record {num_taps} taps, {num_bytes / 1e6:,.0f} MB / forward + one raw write"
    return [
        ratio_line(subject, seconds["record"], [seconds["forward"], seconds["write"]], ALLOWED),
        ratio_line(
            "  and functions where they cost under a tenth of the bytes / the same",
            seconds["record functions too"],
            [seconds["forward"], seconds["write"]],
        ),
        cold_weights(model, float(np.median(seconds["forward"]))),
    ]


def cold_weights(model: nn.Module, forward_seconds: float) -> Line:
    """The weight table of a model that was never recorded before."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        weights.WeightTable(weights.named_weights(model))
        taken.append(time.perf_counter() - start)
    median = float(np.median(taken))
    num_bytes = sum(parameter.nbytes for parameter in model.parameters())
    subject = f"  once a model: its weight table, {num_bytes / 1e6:,.0f} MB / forward"
    return Line(
        subject, milliseconds(median), milliseconds(forward_seconds), f"{median / forward_seconds:.1f} forwards"
    )


def write(content: memoryview, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    written = 0
    while written < len(content):
        written += os.write(descriptor, content[written:])
    os.close(descriptor)
