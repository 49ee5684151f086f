"""What the TUI costs over a pair of 20,000 taps, in a real pseudo-terminal: until its first screen, from a key to the
paint that follows it, and in memory over what its libraries need."""

import fcntl
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from probe.dump import DumpWriter
from probe.report import Finding, Place, Report, TapComparison, Verdict
from probe.tap import Tap
from tests.bench.measurement import Line, milliseconds

NUM_TAPS = 20_000
PORTS = ("in", "out")
PARTS = ("norm", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "act_fn", "down_proj", "residual")
ROUNDS, NUM_KEYS = 7, 200
FIRST_SCREEN, KEY_TO_PAINT, MEMORY = 1.0, 0.05, 200
QUIET = 0.03
"""Seconds without output after which a paint has ended."""
LIBRARIES = "import numpy, h5py, einops, tomlkit, rich.console, textual.app, textual.widgets"
PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def browsing(folder: Path) -> list[Line]:
    reference, candidate, report = pair(folder)
    words = ["tui", str(reference), str(candidate), "--report", str(report)]
    first, keys, sizes = [], [], []
    for _ in range(ROUNDS):
        with _Terminal(words) as terminal:
            first.append(terminal.wait_for(b"DIVERGED", b"layers.17"))
            terminal.settle()
            keys += [terminal.press(key) for key in (b"j", b"k") * (NUM_KEYS // 2 // ROUNDS)]
            sizes.append(terminal.megabytes())
    libraries = float(subprocess.check_output([sys.executable, "-c", f"{LIBRARIES}\n{PEAK}"], text=True)) / 1e3
    slow = statistics.quantiles(keys, n=20)[-1]
    median, extra = statistics.median(first), max(sizes) - libraries
    subject = f"TUI, {NUM_TAPS:,} taps: "
    return [
        Line(
            f"{subject}start to first screen",
            milliseconds(median),
            "",
            f"{median:.2f} s ({min(first):.2f})",
            f"{FIRST_SCREEN:g} s",
            median <= FIRST_SCREEN,
        ),
        Line(
            f"{subject}key to paint, 95th percentile of {len(keys)}",
            milliseconds(slow),
            "",
            milliseconds(slow),
            milliseconds(KEY_TO_PAINT),
            slow <= KEY_TO_PAINT,
        ),
        Line(
            f"{subject}peak memory / its libraries",
            f"{max(sizes):,.0f} MB",
            f"{libraries:,.0f} MB",
            f"+{extra:,.0f} MB",
            f"{MEMORY}",
            extra <= MEMORY,
        ),
    ]


def pair(folder: Path) -> tuple[Path, Path, Path]:
    """Two dumps of small taps, and what `probe diff --json` would say of them."""
    modules = [f"model.layers.{layer}.{part}" for layer in range(NUM_TAPS // 2 // len(PARTS)) for part in PARTS]
    values = np.ones((1, 4, 4), np.float32)
    paths = folder / "tui-reference.h5", folder / "tui-candidate.h5"
    rows: list[TapComparison] = []
    for path in paths:
        rows.clear()
        with DumpWriter(path, force=True) as writer:
            writer.add_input(0, "input_ids", np.arange(4)[None], "int64")
            for module in modules:
                for port in PORTS:
                    name = f"{module}:{port}"
                    writer.add(Tap(name, module, "Part", 0, port, 0, len(rows), values.shape, "float32"), values)
                    ratio = 9e3 if name == "model.layers.17.norm:out" else 0.5
                    figures = dict.fromkeys(("max_abs", "rel_l2", "nmse", "cosine", "sqnr_db"), 1e-6)
                    own = {"local_error": 1e-7, "floor": 2e-7, "ratio": ratio}
                    rows.append(TapComparison(name, name, 0, values.shape, "float32", **figures, **own))
    guilty, tap = "model.layers.17.norm", "model.layers.17.norm:out"
    finding = Finding("norm.eps", guilty, (guilty,), ("model.layers.17.norm:in", tap), "eps is 1e-05")
    place = Place(guilty, tap, 0, 1e-3, 1e-7, 9e3)
    names = (str(path) for path in paths)
    report = Report(*names, Verdict.DIVERGED, (), tuple(rows), (), (), None, place, (finding,), True)
    saved = folder / "tui-report.json"
    saved.write_text(json.dumps(report.to_dict()))
    return *paths, saved


class _Terminal:
    """`probe` with these words in a terminal of 120 columns."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._shown = b""

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            for name in ("COLUMNS", "LINES"):
                os.environ.pop(name, None)
            os.execv(sys.executable, [sys.executable, "-m", "probe", *self._words])
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
        return self

    def wait_for(self, *words: bytes) -> float:
        """Seconds from the start until all of them are on the screen."""
        while True:
            plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self._shown)
            if all(word in plain for word in words):
                return time.perf_counter() - self._start
            self._read(30)

    def press(self, key: bytes) -> float:
        """Seconds from the key to the first bytes of the paint that it causes."""
        start = time.perf_counter()
        os.write(self._screen, key)
        self._read(10)
        taken = time.perf_counter() - start
        self.settle()
        return taken

    def settle(self) -> None:
        """Until nothing is painted any more."""
        while select.select([self._screen], [], [], 10 * QUIET)[0]:
            self._read(1)

    def megabytes(self) -> float:
        """The process' peak."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3

    def _read(self, patience: float) -> None:
        if not select.select([self._screen], [], [], patience)[0]:
            raise TimeoutError(f"nothing on the screen for {patience} s:\n{self._shown[-2000:]!r}")
        self._shown += os.read(self._screen, 1 << 16)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
        os.close(self._screen)
