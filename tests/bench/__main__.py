"""python -m tests.bench: measure everything once, and print one table."""

import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from tests.bench.beside import beside
from tests.bench.browsing import browsing
from tests.bench.causes import causes
from tests.bench.comparing import metrics, replay
from tests.bench.importing import importing
from tests.bench.less import less
from tests.bench.llama import llama, scaled, tokens
from tests.bench.llama_cpp import llama_cpp
from tests.bench.many import large_dump, small_taps
from tests.bench.mapping import mapping
from tests.bench.measurement import Line
from tests.bench.page import page
from tests.bench.plotting import plotting
from tests.bench.processes import memory, start_up
from tests.bench.recording import record, recording

NUM_TOKENS = 256
MANY_TOKENS = 1024


def measure(folder: Path, console: Console) -> list[Line]:
    """All lines of the table, in its order."""
    model, sdpa, ids = llama(), llama("sdpa"), tokens(NUM_TOKENS)
    reference, candidate = folder / "reference.h5", folder / "candidate.h5"
    long_reference, long_candidate = folder / "long-reference.h5", folder / "long-candidate.h5"
    lines = []
    with console.status("recording"):
        lines += recording(model, ids, folder)
        record(model, ids, reference)
    with console.status("recording by others"):
        lines += beside(NUM_TOKENS, reference.stat().st_size, folder)
    with console.status("recording much"):
        lines += [small_taps(folder), large_dump(folder)]
    with console.status("recording less"):
        lines += less(model, ids, folder)
    with console.status("importing"):
        lines += importing(folder)
    with console.status("metrics"):
        with scaled(list(model.parameters()), 1 + 1e-6):
            record(model, ids, candidate)
        lines += metrics(reference, candidate)
        candidate.unlink()
    with console.status("replay"):
        record(sdpa, ids, candidate)
        lines.append(replay(model, ids, reference, candidate))
    with console.status("causes"):
        lines += causes(model, ids, reference, folder)
    with console.status("mapping"):
        lines.append(mapping(folder))
    with console.status("llama.cpp"):
        lines += llama_cpp(model, ids, folder)
    with console.status("start-up"):
        lines.append(start_up())
    with console.status("browsing"):
        lines += browsing(folder)
    with console.status("pictures"):
        lines += plotting(folder)
    with console.status("a page"):
        lines += page(folder)
    with console.status("memory"):
        lines += memory(NUM_TOKENS, reference, candidate, folder)
        ids = tokens(MANY_TOKENS)
        record(model, ids, long_reference)
        record(sdpa, ids, long_candidate)
        lines += memory(MANY_TOKENS, long_reference, long_candidate, folder)
    return lines


def table(lines: list[Line]) -> Table:
    made = Table("what", "measured", "beside", "figure", "allowed", "")
    for column in made.columns[1:]:
        column.justify = "right"
    for line in lines:
        mark = "" if line.kept is None else "ok" if line.kept else "OVER"
        made.add_row(line.subject, line.measured, line.baseline, line.figure, line.allowed, mark)
    return made


def machine() -> str:
    """Cores, torch threads, versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy", "h5py", "xllamacpp"))
    return (
        f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads, load {os.getloadavg()[0]:.1f}, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {packages}"
    )


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="probe-bench-") as folder:
        lines = measure(Path(folder), Console(stderr=True))
    if not console.is_terminal:
        console.width = 140
    console.print(table(lines))
    console.print("Medians; in brackets the ratio of the quickest runs.", machine(), sep="\n", soft_wrap=True)


if __name__ == "__main__":
    main()
