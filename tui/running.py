"""A command of probe's own in a process of its own: it can be stopped, and what it needs of memory is not ours."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    code: int
    """Its exit code: 0 and 1 are answers, all else is trouble."""
    output: str
    told: str
    """What it said on stderr."""


async def run_probe(words: Sequence[str], waiting: Callable[[int], None]) -> Outcome:
    """`words` follow "probe". The process ends with the task that waits for it; `waiting` is told the seconds so far,
    each second."""
    command = [sys.executable, "-m", "probe", *words]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    answer = asyncio.ensure_future(child.communicate())
    try:
        for seconds in count():
            waiting(seconds)
            if (await asyncio.wait([answer], timeout=1.0))[0]:
                break
        output, told = answer.result()
    except BaseException:
        answer.cancel()
        if child.returncode is None:
            child.kill()
            await child.wait()
        raise
    return Outcome(child.returncode or 0, output.decode(errors="replace"), told.decode(errors="replace"))
