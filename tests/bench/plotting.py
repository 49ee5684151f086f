"""What `probe plot` takes over a pair of 20,000 taps, from its start to the file, for the pictures that concern all."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.browsing import NUM_TAPS, pair
from tests.bench.measurement import Line, milliseconds

KINDS = ("depth", "tokens")
ROUNDS, ALLOWED = 3, 3.0


def plotting(folder: Path) -> list[Line]:
    reference, candidate, report = pair(folder)
    return [_line(kind, [str(reference), str(candidate), "--report", str(report)], folder) for kind in KINDS]


def _line(kind: str, words: list[str], folder: Path) -> Line:
    command = [sys.executable, "-m", "probe", "plot", *words, "--kind", kind]
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        done = subprocess.run([*command, "-o", str(folder / f"{kind}.svg"), "--force"], stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
        assert done.returncode in (0, 1), f"{kind} was not drawn"
    median = statistics.median(taken)
    subject = f"plot, {NUM_TAPS:,} taps: {kind}"
    return Line(subject, milliseconds(median), "", f"{median:.1f} s", f"{ALLOWED:g} s", median <= ALLOWED)
