"""llama.cpp: `gguf:FILE`, run by the library that xllamacpp or llama-cpp-python brings along, and told as modules.

What computes with a weight of the file is a module of the weight's name: `blk.3.attn_q` has `in` and `out`, and its
kind is ggml's operation; the `out` is after the bias, where there is one. A norm is given what is normed. A head that
is the embedding is `output`. `blk.3` is a layer, "" the model: `in.input_ids`, `out.logits`.

All else is a function of its layer, called as ggml calls the tensor without the layer's number, or as the operation
where it has no name: `blk.3.@ffn_swiglu:out`, `blk.3.@norm.1:out`; its kind is the operation. Attention is told as
PyTorch's is, `blk.3.@attention:in.query`, with what the cache holds of the tokens so far. Views compute nothing and are
not told; nor is what is written into the cache: attention tells what it reads there.

B is 1: activations are [1, T, C], or [1, T, H, C] where heads are apart, as in PyTorch.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import probe
from probe.errors import ProbeError
from probe.targets.gguf.native import installed
from probe.targets.runtime import Job, Progress

PATIENCE = 10.0
"""Seconds that the child has to end its file after ctrl+c."""
TROUBLE = ("error", "fail", "assert", "fatal", "invalid", "unsupported", "requires")
"""Words in lines that say why something cannot be."""


def record(job: Job, progress: Progress) -> list[str]:
    """Run it in a process of its own: notes. ProbeError with llama.cpp's last words where that ends badly."""
    installed()
    with tempfile.TemporaryFile() as talk:
        child = subprocess.Popen(
            [sys.executable, "-m", "probe.targets.gguf.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=talk,
            env=_environment(),
            start_new_session=True,
        )
        try:
            last = _followed(child, job, progress)
            code = child.wait()
        finally:
            _stop(child)
        if "notes" in last:
            return [str(note) for note in last["notes"]]
        words = _last_words(talk)
        if "error" in last:
            raise ProbeError(": ".join([last["error"], *(words if last["is_native"] else [])]), hint=last["hint"])
        raise _crash(job, code, last, words)


def _environment() -> dict[str, str]:
    """The child finds the same probe; ggml prints no stack of its own.

    Each tensor is computed by itself, and threads that spin until all are there spend more on that than on computing
    wherever something else runs: two of them took 6 to 12 s instead of 0.7 for 21 steps, on two busy cores.
    """
    here = str(Path(probe.__file__).parent.parent)
    places = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": places, "GGML_NO_BACKTRACE": "1"}


def _followed(child: "subprocess.Popen[bytes]", job: Job, progress: Progress) -> dict[str, Any]:
    """Hand over the job, and pass on what is told; the last of it."""
    assert child.stdin is not None
    assert child.stdout is not None
    last: dict[str, Any] = {}
    try:
        with child.stdin as stdin:
            pickle.dump(job, stdin)
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


def _crash(job: Job, code: int, last: dict[str, Any], words: list[str]) -> ProbeError:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    where = f" after {last['progress'][0]}" if "progress" in last else ""
    partial = Path(f"{job.path}.partial")
    kept = f"what ran until then is in {partial}" if partial.exists() else None
    return ProbeError(": ".join([f"llama.cpp {how}{where}", *words]), hint=kept)


def _last_words(talk: IO[bytes]) -> list[str]:
    """Lines of llama.cpp's that tell of trouble, else its last one."""
    talk.seek(0)
    lines = [line.strip() for line in talk.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in TROUBLE)]
    return telling[-2:] or lines[-1:]
