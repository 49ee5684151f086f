"""`make zoo`: every honest pair and every planted bug, in one table; what was blamed wrongly, and what was missed.

The first sizes were looked at while thresholds were chosen; the last, marked "aside", were not.
"""

import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from rich.console import Console
from rich.table import Table
from torch import nn

import probe
from probe.report import Report, Verdict
from tests.zoo.architectures import ARCHITECTURES, Size, build, inputs
from tests.zoo.bugs import PLANTED

SIZES = [("seen", Size(), 0), ("aside", Size(hidden=96, layers=4, heads=6, tokens=57), 7)]
HONEST = [
    ("eager again", "eager", torch.float32),
    ("sdpa", "sdpa", torch.float32),
    ("bf16", "eager", torch.bfloat16),
    ("fp16", "eager", torch.float16),
    ("sdpa bf16", "sdpa", torch.bfloat16),
]


@dataclass
class Tally:
    """What came out of one kind of pair."""

    pairs: int = 0
    right: int = 0
    worst: float = 0.0
    seconds: float = 0.0


def compare(
    reference: nn.Module, candidate: nn.Module, fed: dict[str, torch.Tensor], folder: Path
) -> tuple[Report, float]:
    dtype = next(candidate.parameters()).dtype
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in fed.items()}
    paths = folder / "reference.h5", folder / "candidate.h5"
    for model, path, given in ((reference, paths[0], fed), (candidate, paths[1], cast)):
        with torch.no_grad(), probe.record(model, path, force=True):
            model(**given)
    begun = time.perf_counter()
    report = probe.diff(*paths, reference=reference)
    return report, time.perf_counter() - begun


def run(folder: Path) -> dict[tuple[str, str], Tally]:
    tallies: dict[tuple[str, str], Tally] = {}
    for part, size, seed in SIZES:
        for name in ARCHITECTURES:
            reference, fed = build(name, size, seed), inputs(name, size, seed)
            for kind, attention, dtype in HONEST:
                try:
                    candidate = build(name, size, seed, attention).to(dtype)
                except ValueError:  # Gemma 2 refuses sdpa
                    continue
                report, seconds = compare(reference, candidate, fed, folder)
                _count(
                    tallies, (part, f"honest: {kind}"), report, seconds, report.verdict is not Verdict.DIVERGED, name
                )
        for bug in PLANTED:
            reference, candidate = build(bug.architecture, size, seed), build(bug.architecture, size, seed)
            bug.plant(candidate)
            report, seconds = compare(reference, candidate, inputs(bug.architecture, size, seed), folder)
            right = report.first is not None and report.first.module in bug.modules
            _count(tallies, (part, "planted: fp32"), report, seconds, right, f"{bug.architecture}, {bug.name}")
    return tallies


def _count(
    tallies: dict[tuple[str, str], Tally], key: tuple[str, str], report: Report, seconds: float, right: bool, what: str
) -> None:
    tally = tallies.setdefault(key, Tally())
    tally.pairs += 1
    tally.right += right
    tally.seconds += seconds
    tally.worst = max(tally.worst, *(row.ratio or 0.0 for row in report.taps))
    if not right:
        place = f"{report.first.module} at {report.first.tap}" if report.first else "nowhere"
        print(f"wrong: {key[0]}, {key[1]}: {what}: {report.verdict}, {place}", file=sys.stderr)


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        tallies = run(Path(folder))
    table = Table("part", "pairs", "number", "right", "largest ratio", "seconds a diff", box=None)
    for (part, kind), tally in tallies.items():
        seconds = f"{tally.seconds / tally.pairs:.2f}"
        table.add_row(part, kind, str(tally.pairs), str(tally.right), f"{tally.worst:.3g}", seconds)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
