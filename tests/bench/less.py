"""What dumps of less than all values cost, and how true sketches are: of a port whose every weight is a bit off."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import probe
from probe.dump.dtypes import storage
from probe.report import Seen
from tests.bench.llama import forward, scaled
from tests.bench.measurement import Line, in_turn, ratio_line

STATISTICS_ALLOWED, SKETCH_ALLOWED = 1.10, 1.15
NUM_PROJECTIONS = 64
SHARE_ALLOWED, STDERR_ALLOWED = 0.95, 0.10
"""Of taps within two standard errors; of the error."""


def less(model: nn.Module, ids: torch.Tensor, folder: Path) -> list[Line]:
    """Both ways of recording over a plain run; then sketches of two runs beside the same runs in full."""
    dump = folder / "less.h5"

    def record(path: Path = dump, **how: object) -> None:
        with torch.no_grad(), probe.record(model, path, **how):  # type: ignore[arg-type]
            model(ids)

    record()
    dump.unlink()
    actions = {
        "forward": forward(model, ids),
        "statistics": lambda: record(stats_only=True),
        "sketch": lambda: record(sketch=NUM_PROJECTIONS),
    }
    seconds = in_turn(9, actions, lambda: dump.unlink(missing_ok=True))
    lines = [
        ratio_line("record --stats-only / forward", seconds["statistics"], [seconds["forward"]], STATISTICS_ALLOWED),
        ratio_line(
            f"record --sketch {NUM_PROJECTIONS} / forward", seconds["sketch"], [seconds["forward"]], SKETCH_ALLOWED
        ),
    ]
    paths = {name: folder / f"less-{name}.h5" for name in ("r-full", "r-sketch", "c-full", "c-sketch")}
    record(paths["r-full"])
    record(paths["r-sketch"], sketch=NUM_PROJECTIONS)
    with scaled(list(model.parameters()), 1 + 1e-3):
        record(paths["c-full"])
        record(paths["c-sketch"], sketch=NUM_PROJECTIONS)
    lines += [_bytes(paths["r-full"], paths["r-sketch"]), *_truth(paths)]
    for path in paths.values():
        path.unlink()
    return lines


def _bytes(full: Path, sketch: Path) -> Line:
    """Of the taps alone; what is allowed of each is K / width, and 1 % of all."""
    with probe.open(full) as dump, probe.open(sketch) as less:
        taps = {(tap.statistics.hash, tap.shape): tap for tap in dump.taps}.values()
        sizes = [(tap, tap.num_elements * storage(tap.dtype).itemsize) for tap in taps]
        total = sum(size for _, size in sizes)
        shares = [NUM_PROJECTIONS / tap.shape[-1] if not less.has_values(tap) else 1 for tap, _ in sizes]
        allowed = sum(size * share for (_, size), share in zip(sizes, shares, strict=True)) / total + 0.01
        rest = full.stat().st_size - total
    measured = (sketch.stat().st_size - rest) / total
    return Line(
        "  bytes of the taps / in full",
        f"{measured * total / 1e6:.1f} MB",
        f"{total / 1e6:.0f} MB",
        f"{measured:.2%}",
        f"{allowed:.2%}",
        measured <= allowed,
    )


def _truth(paths: dict[str, Path]) -> list[Line]:
    full = probe.diff(paths["r-full"], paths["c-full"], replay=False)
    sketched = probe.diff(paths["r-sketch"], paths["c-sketch"], replay=False)
    pairs = [(s, f) for s, f in zip(sketched.taps, full.taps, strict=True) if s.seen is Seen.SKETCH and f.rel_l2]
    errors = [(abs(s.rel_l2 - f.rel_l2), s.rel_l2_stderr or 0.0, s.rel_l2) for s, f in pairs]
    inside = float(np.mean([off <= 2 * stderr for off, stderr, _ in errors]))
    largest = max(stderr / size for _, stderr, size in errors)
    return [
        Line(
            f"  of {len(errors)} taps, within 2 standard errors",
            "",
            "",
            f"{inside:.1%}",
            f"{SHARE_ALLOWED:.0%}",
            inside >= SHARE_ALLOWED,
        ),
        Line(
            "  largest standard error / error",
            "",
            "",
            f"{largest:.1%}",
            f"{STDERR_ALLOWED:.0%}",
            largest <= STDERR_ALLOWED,
        ),
    ]
