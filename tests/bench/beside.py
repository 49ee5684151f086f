"""The same recording by others, each measured in a process of its own beside plain runs and raw writes there."""

import json
import subprocess
from pathlib import Path

from tests.bench.measurement import Line, ratio_line

PYTHON = Path(".venv-peers/bin/python")
"""`make bench` makes it: what the peers need must not be needed by anybody else."""
PEERS = ("hooks + np.save", "transformers debugger", "TorchLens (in memory)", "msprobe")
PATIENCE = 240
"""Seconds for one of them."""


def beside(num_tokens: int, num_bytes: int, folder: Path) -> list[Line]:
    if not PYTHON.exists():
        return [Line("other tools", "not measured", "", "make bench installs them into .venv-peers")]
    return [_line(peer, num_tokens, num_bytes, folder) for peer in PEERS]


def _line(peer: str, num_tokens: int, num_bytes: int, folder: Path) -> Line:
    own = folder / "peer"
    own.mkdir(exist_ok=True)
    subject = f"  {peer} / forward + one raw write"
    command = [str(PYTHON), "-m", "tests.bench.peers", peer, str(num_tokens), str(num_bytes), str(own)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return Line(subject, f"not done after {PATIENCE} s", "", "failed")
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        return Line(subject, last[:60], "", "failed")
    seconds = json.loads(ended.stdout.strip().splitlines()[-1])
    return ratio_line(subject, seconds["record"], [seconds["forward"], seconds["write"]])
