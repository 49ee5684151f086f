"""What recording every tensor of llama.cpp costs over its plain run, both in one process: python -m tests.bench.foreign
FILE DUMP prints the seconds of both."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from probe.capture.arrays import ArrayRecorder
from probe.targets.gguf.file import opened
from probe.targets.gguf.native import EVALUATED
from probe.targets.gguf.play import _run, known_options
from probe.targets.gguf.session import Session
from tests.bench.llama import llama, tokens
from tests.bench.measurement import Line, in_turn, ratio_line
from tests.converted.convert import contents, write

ALLOWED = 3.0
NUM_LAYERS, NUM_CHANNELS, NUM_TOKENS = 8, 512, 256
REPETITIONS = 7


class Plain(Session):
    """A session of which nothing is told: llama.cpp has no function to call."""

    def _opened(self, *how: Any) -> int:
        self._callback = EVALUATED()
        return super()._opened(*how)


def gguf(folder: Path) -> Line:
    file, dump = folder / "llama.gguf", folder / "gguf.h5"
    write(contents(llama(num_layers=NUM_LAYERS, num_channels=NUM_CHANNELS)), file)
    command = [sys.executable, "-m", "tests.bench.foreign", str(file), str(dump)]
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    told = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    seconds = json.loads(told.splitlines()[-1])
    file.unlink()
    return ratio_line("gguf, every tensor recorded / llama.cpp alone", seconds["record"], [seconds["run"]], ALLOWED)


def measured(file: Path, dump: Path) -> dict[str, list[float]]:
    """The same options on both sides; loading and the table of weights are not measured."""
    model, ids, options = opened(file), tokens(NUM_TOKENS)[0].tolist(), known_options()
    room = (options, NUM_TOKENS, NUM_TOKENS)
    with Session(file, *room) as session, Plain(file, *room) as plain:

        def record() -> None:
            _forget(session)
            about = {"target": None, "environment": {}, "config": None}
            with ArrayRecorder(dump, about=about) as recorder:
                _run(session, model, recorder, ids, [NUM_TOKENS], lambda what, done, total: None)

        def run() -> None:
            _forget(plain)
            plain.run(ids, 0, lambda node: None)

        actions = {"record": record, "run": run}
        return in_turn(REPETITIONS, actions, lambda: dump.unlink(missing_ok=True))


def _forget(session: Session) -> None:
    """Empty its cache: positions begin at 0 again."""
    native = session._library
    native.llama_get_memory.restype = ctypes.c_void_p
    native.llama_memory_clear.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    native.llama_memory_clear(native.llama_get_memory(ctypes.c_void_p(session._context)), True)


if __name__ == "__main__":
    print(json.dumps(measured(*map(Path, sys.argv[1:]))))
