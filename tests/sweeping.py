"""Many pairs judged by several processes: a line each on stderr, then the tables, and all outcomes as JSON if asked."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console


def sweep(
    pairs: Sequence[Any],
    run: Callable[[Any], Any],
    quiet: Callable[[], None],
    line: Callable[[Any], str],
    print_tables: Callable[[list[Any], Console], None],
    processes: int,
    saved: Path | None,
) -> None:
    """`run` makes a pair's outcome, a dataclass, in a process that `quiet` has prepared."""
    begun, outcomes = time.perf_counter(), []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=quiet) as pool:
        for outcome in pool.map(run, pairs):
            print(line(outcome), file=sys.stderr, flush=True)
            outcomes.append(outcome)
    console = Console(width=160)
    print_tables(outcomes, console)
    console.print(f"{len(outcomes)} pairs in {time.perf_counter() - begun:.0f} s")
    if saved:
        saved.write_text(json.dumps([asdict(one) for one in outcomes], indent=1))
