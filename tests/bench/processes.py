"""What can be measured only in a fresh process: how long the command takes to start, and peak memory."""

import subprocess
import sys
from pathlib import Path

from tests.bench.measurement import Line, in_turn, ratio_line

HELP_ALLOWED = 3
MEMORY_ALLOWED = 300


def start_up() -> Line:
    script = Path(sys.executable).with_name("probe")
    actions = {
        "pass": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "help": lambda: subprocess.run([script, "--help"], check=True, stdout=subprocess.DEVNULL),
    }
    seconds = in_turn(15, actions)
    return ratio_line("probe --help / python -c pass", seconds["help"], [seconds["pass"]], HELP_ALLOWED)


def memory(num_tokens: int, reference: Path, candidate: Path, folder: Path) -> list[Line]:
    """Peaks over that of a process which builds the model and runs it once."""
    size = f"{reference.stat().st_size / 1e6:,.0f} MB"
    model = peak("model", num_tokens)
    recorded = peak("record", num_tokens, folder / "recorded.h5")
    (folder / "recorded.h5").unlink()
    replayed = peak("replay", num_tokens, reference, candidate)
    compared = peak("compare", num_tokens, reference, candidate)
    return [
        memory_line(f"peak memory, {num_tokens} tokens: record {size} / the model alone", recorded, model),
        memory_line(f"peak memory, {num_tokens} tokens: diff with replay / the model alone", replayed, model),
        memory_line(f"peak memory, {num_tokens} tokens: diff without replay / nothing", compared, 0),
    ]


def memory_line(subject: str, measured: float, baseline: float) -> Line:
    extra = measured - baseline
    figure = f"+{extra:,.0f} MB"
    return Line(
        subject, f"{measured:,.0f} MB", f"{baseline:,.0f} MB", figure, f"{MEMORY_ALLOWED}", extra <= MEMORY_ALLOWED
    )


def peak(*arguments: object) -> float:
    """Megabytes that a `tests.bench.job` says it needed at most."""
    command = [sys.executable, "-m", "tests.bench.job", *map(str, arguments)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout) / 1e6
