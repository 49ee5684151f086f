"""What recording costs where the model runs on an accelerator: python -m tests.bench.accelerator

Copies leave the device on a stream beside the model's, and one thread measures and writes them: so the least is a
forward, or the way to the host and a raw write of as many bytes, whichever is longer; the table has all three.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

import probe
from tests.bench.llama import VOCAB_SIZE, llama
from tests.bench.measurement import Line, in_turn, milliseconds, ratio_line
from tests.bench.recording import write

SIZES = ((12, 768, 256, torch.float32), (16, 2048, 1024, torch.bfloat16))
"""Layers, channels, tokens and dtype of what is run."""
ROUNDS = 5


def on_device(device: torch.device, folder: Path) -> list[Line]:
    return [line for size in SIZES for line in _of_size(device, folder, *size)]


def _of_size(
    device: torch.device, folder: Path, num_layers: int, num_channels: int, num_tokens: int, dtype: torch.dtype
) -> list[Line]:
    model = llama("sdpa", num_layers, num_channels).to(device, dtype)
    ids = torch.randint(VOCAB_SIZE, (1, num_tokens), device=device)
    dump, plain = folder / "device.h5", folder / "plain"

    def recorded(**how: object) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad(), probe.record(model, dump, **how):  # type: ignore[arg-type]
                model(ids)

        return run

    recorded(functional="none")()
    size = dump.stat().st_size
    dump.unlink()
    content = memoryview(np.random.default_rng(0).bytes(size))
    on_host, there = (
        torch.empty(size, dtype=torch.uint8, pin_memory=True),
        torch.empty(size, dtype=torch.uint8).to(device),
    )

    def tidy() -> None:
        torch.get_device_module(device).synchronize()
        for path in (dump, plain):
            path.unlink(missing_ok=True)

    seconds = in_turn(
        ROUNDS,
        {
            "forward": _waited(model, ids),
            "copy": lambda: on_host.copy_(there),
            "write": lambda: write(content, plain),
            "record": recorded(functional="none"),
            "record functions too": recorded(),
            "statistics": recorded(stats_only=True, functional="none"),
            "sketch": recorded(sketch=64, functional="none"),
        },
        tidy,
    )
    what = f"{num_layers} layers of {num_channels}, {num_tokens} tokens, {str(dtype).removeprefix('torch.')}"
    beside = [seconds["forward"], seconds["write"]]
    return [
        Line(what, milliseconds(float(np.median(seconds["copy"]))), "", f"{size / 1e6:,.0f} MB from the device"),
        ratio_line("  record / forward + one raw write", seconds["record"], beside),
        ratio_line("  and functions / the same", seconds["record functions too"], beside),
        ratio_line("  record --stats-only / forward", seconds["statistics"], [seconds["forward"]]),
        ratio_line("  record --sketch 64 / forward", seconds["sketch"], [seconds["forward"]]),
    ]


def _waited(model: nn.Module, ids: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            model(ids).logits[0, -1, 0].item()

    return run


def main() -> None:
    console = Console()
    if not torch.accelerator.is_available():
        console.print("no accelerator here: nothing was measured")
        return
    device = torch.accelerator.current_accelerator()
    assert device is not None
    with tempfile.TemporaryDirectory(prefix="probe-bench-") as folder:
        lines = on_device(device, Path(folder))
    for line in lines:
        console.print(f"{line.subject:50} {line.measured:>10} {line.baseline:>10}  {line.figure}", soft_wrap=True)
    console.print(
        f"{torch.get_device_module(device).get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
