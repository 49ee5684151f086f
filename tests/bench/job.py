"""One thing done in a process of its own: python -m tests.bench.job model|record|replay|compare TOKENS [FILE ...]

`loop LENGTH [FILE]` is a model without weights, with so many elements in each of 2000 taps.

Prints the peak of its memory in bytes.
"""

import resource
import sys
from pathlib import Path


def run(job: str, num_tokens: int, *files: Path) -> None:
    """`compare` needs no model, and imports no torch."""
    import probe

    if job == "compare":
        probe.diff(*files, replay=False)
        return
    if job == "loop":
        from tests.bench.many import NUM_LARGE, loop

        loop(NUM_LARGE, num_tokens, next(iter(files), None))
        return
    from tests.bench.llama import forward, llama, tokens
    from tests.bench.recording import record

    model, ids = llama(), tokens(num_tokens)
    if job == "record":
        record(model, ids, *files)
        return
    forward(model, ids)()
    if job == "replay":
        probe.diff(*files, reference=model)


def peak_bytes() -> int:
    """ru_maxrss of a new process begins with what its parent had; Linux's VmHWM does not."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:]))
    print(peak_bytes())
