"""A runtime in a process of its own: what it crashes of, and what it prints, is told in its last words."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import probe
from probe.errors import ProbeError
from probe.targets.runtime import Job, Progress

PATIENCE = 10.0
"""Seconds that the child has to end its file after ctrl+c."""
TROUBLE = ("error", "fail", "assert", "fatal", "invalid", "unsupported", "requires")
"""Words in lines that say why something cannot be."""


class Refused(ProbeError):
    """A runtime does not take something, and has said why on stderr."""


def run_apart(
    runtime: str, module: str, job: Job, progress: Progress, environment: Mapping[str, str] | None = None
) -> list[str]:
    """The notes of `module`.play(job, progress). ProbeError, with what `runtime` said last, where that ends badly."""
    with tempfile.TemporaryFile() as talk:
        child = subprocess.Popen(
            [sys.executable, "-m", "probe.targets.child", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=talk,
            env=_environment(environment or {}),
            start_new_session=True,
        )
        try:
            last = _followed(child, job, progress)
            code = child.wait()
        finally:
            _stop(child)
        if "notes" in last:  # the dump is whole, whatever came then
            return [str(note) for note in last["notes"]]
        words = _last_words(talk)
        if "error" in last:
            raise ProbeError(": ".join([last["error"], *(words if last["is_native"] else [])]), hint=last["hint"])
        raise _crash(runtime, job, code, last, words)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """The child finds the same probe, and its threads wait without spinning.

    Threads that spin until all are there spend more on that than on computing wherever something else runs: two of them
    took 6 to 12 s instead of 0.7 for 21 steps of llama.cpp, tensor by tensor, on two busy cores.
    """
    here = str(Path(probe.__file__).parent.parent)
    places = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": places, **more}


def _followed(child: "subprocess.Popen[bytes]", job: Job, progress: Progress) -> dict[str, Any]:
    """Hand over the job, and pass on what is told; the last of it."""
    assert child.stdin is not None
    assert child.stdout is not None
    last: dict[str, Any] = {}
    try:
        with child.stdin as stdin:
            stdin.write(job.to_json().encode())
    except BrokenPipeError:
        return last
    for line in child.stdout:
        last = json.loads(line)
        if "progress" in last:
            progress(*last["progress"])
    return last


def _stop(child: "subprocess.Popen[bytes]") -> None:
    """Without a trace, whatever state it is in."""
    assert child.stdout is not None
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    child.stdout.close()


def _crash(runtime: str, job: Job, code: int, last: dict[str, Any], words: list[str]) -> ProbeError:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    where = f" after {last['progress'][0]}" if "progress" in last else ""
    partial = Path(f"{job.path}.partial")
    kept = f"what ran until then is in {partial}" if partial.exists() else None
    return ProbeError(": ".join([f"{runtime} {how}{where}", *words]), hint=kept)


def _last_words(talk: IO[bytes]) -> list[str]:
    """Lines of the runtime's that tell of trouble, else its last one."""
    talk.seek(0)
    lines = [line.strip() for line in talk.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in TROUBLE)]
    return telling[-2:] or lines[-1:]
