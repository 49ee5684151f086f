"""What comparing two dumps costs: metrics over reading both files, and replay in runs of the model."""

import statistics
from pathlib import Path

import torch
from torch import nn

import probe
from probe.align.pairs import align
from probe.compare.rows import rows_and_output
from probe.report import Verdict
from tests.bench.llama import forward
from tests.bench.measurement import Line, in_turn, milliseconds, ratio_line

METRICS_ALLOWED = 8
REPLAY_ALLOWED = 6
READ_AT_ONCE = 1 << 20


def metrics(reference: Path, candidate: Path) -> list[Line]:
    """Two dumps that differ in every tap: no shortcut over equal tensors applies."""
    buffer = memoryview(bytearray(READ_AT_ONCE))

    def read_both() -> None:
        for path in (reference, candidate):
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    with probe.open(reference) as ours, probe.open(candidate) as theirs:
        mapping = align(ours, theirs)
    num_equal = sum(pair.reference.statistics.hash == pair.sources[0].tap.statistics.hash for pair in mapping.pairs)

    def measure() -> None:
        with probe.open(reference) as ours, probe.open(candidate) as theirs:
            rows_and_output(ours, theirs, mapping, (), lambda *_: None)

    actions = {
        "read": read_both,
        "metrics": measure,
        "diff": lambda: probe.diff(reference, candidate, replay=False),
    }
    seconds = in_turn(5, actions)
    subject = f"metrics of {len(mapping.pairs)} pairs ({num_equal} equal) / reading both files"
    rest = statistics.median(seconds["diff"]) - statistics.median(seconds["metrics"])
    return [
        ratio_line(subject, seconds["metrics"], [seconds["read"]], METRICS_ALLOWED),
        Line("  the rest of a diff without replay: trust, align", milliseconds(rest), "", ""),
    ]


def replay(model: nn.Module, ids: torch.Tensor, reference: Path, candidate: Path) -> Line:
    """Of a pair without a bug, a diff with replay minus the same diff without, in plain runs of the model."""
    verdict = probe.diff(reference, candidate, reference=model).verdict
    assert verdict is Verdict.NOISE, verdict
    actions = {
        "forward": forward(model, ids),
        "without": lambda: probe.diff(reference, candidate, replay=False),
        "with": lambda: probe.diff(reference, candidate, reference=model),
    }
    seconds = {name: statistics.median(taken) for name, taken in in_turn(5, actions).items()}
    extra = seconds["with"] - seconds["without"]
    num_forwards = extra / seconds["forward"]
    return Line(
        "replay (clean): diff with - without / forward",
        milliseconds(extra),
        milliseconds(seconds["forward"]),
        f"{num_forwards:.2f} forwards",
        f"{REPLAY_ALLOWED}",
        num_forwards <= REPLAY_ALLOWED,
    )
