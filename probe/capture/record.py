"""probe.record: within its block, what every module of a model is given and returns goes into a dump."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import nn

from probe.capture.hooks import watching
from probe.capture.recorder import Recorder
from probe.dump import DumpWriter
from probe.errors import ProbeError

Progress = Callable[[int, int], None]
"""Called after each tap with the number of taps and of bytes so far."""


@contextmanager
def record(
    model: nn.Module,
    path: str | Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    target: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Iterator[None]:
    """Within this block, every call of `model` is recorded into the dump `path`; each call is one step.

    The model's results stay bit for bit what they were, and no hook is left behind. An exception of the model passes
    through, and what was recorded until then is in `<path>.partial`. If recording itself fails (no space left), the
    model runs on undisturbed, and ProbeError is raised when the block ends.

    `include` and `exclude` are globs over module names or whole tap names ("model.layers.0.*", "*:out"). `target`
    says how the model can be loaded again; without it a diff needs `reference=model` to replay.
    """
    names = [name for name, _ in model.named_modules()]
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern.partition(":")[0]) for name in names):
            raise ProbeError(f"no module's name matches {pattern!r}", hint=f"names look like {', '.join(names[1:4])}")
    writer = DumpWriter(Path(path), force=force)
    recorder = Recorder(model, writer, include, exclude, progress)
    try:
        recorder.describe(target)
        with watching(model, recorder.on_inputs, recorder.on_output):
            yield
    except BaseException:
        writer.keep_partial()
        raise
    recorder.finish()
