"""What it costs to record every tensor of llama.cpp's graph, beside the same run unwatched."""

import ctypes
import os
from functools import partial
from pathlib import Path

import torch
from torch import nn

from probe.capture.arrays import ArrayRecorder
from probe.targets.gguf.file import opened
from probe.targets.gguf.graph import Graph
from probe.targets.gguf.native import library
from probe.targets.gguf.session import Session
from tests.bench.measurement import Line, in_turn, ratio_line
from tests.converted.convert import contents, write

ALLOWED = 3.0
REPETITIONS = 5
OPTIONS = {"flash": False, "repack": False, "kv": "f32"}


class Unwatched(Session):
    """Nothing is asked of the graph."""

    def _evaluated(self, *_: object) -> bool:
        return False


def llama_cpp(model: nn.Module, ids: torch.Tensor, folder: Path) -> list[Line]:
    """In float32 and in 8 bits, without the time that loading takes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the process has it that `probe dump` starts
    lines = []
    for kind in ("F32", "Q8_0"):
        path = write(contents(model), folder / "llama.gguf", kind)
        lines.append(_line(path, ids[0].tolist(), f"gguf {kind}, every tensor recorded / plain run"))
        path.unlink()
    return lines


def _line(path: Path, ids: list[int], subject: str) -> Line:
    size, names, dump = len(ids), opened(path).names, path.with_suffix(".h5")
    options = {**OPTIONS, "threads": torch.get_num_threads()}
    with Session(path, options, size, size) as watched, Unwatched(path, options, size, size) as plain:

        def record() -> None:
            with ArrayRecorder(dump, about={}) as recorder:
                watched.run(ids, 0, Graph(names, size, 0, partial(recorder.add, 0)).tell)

        def tidy() -> None:
            dump.unlink(missing_ok=True)
            for session in (watched, plain):
                forget(session)

        seconds = in_turn(REPETITIONS, {"recorded": record, "plain": lambda: plain.run(ids, 0, lambda _: None)}, tidy)
    return ratio_line(subject, seconds["recorded"], [seconds["plain"]], ALLOWED)


def forget(session: Session) -> None:
    """Empty its cache."""
    native = library()
    native.llama_get_memory.restype, native.llama_get_memory.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    native.llama_memory_clear.restype, native.llama_memory_clear.argtypes = None, [ctypes.c_void_p, ctypes.c_bool]
    native.llama_memory_clear(native.llama_get_memory(session._context), True)
