"""probe.record: within its block, what every module of a model is given and returns goes into a dump."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.capture.budget import Functional
from probe.capture.calling import watching_functions
from probe.capture.hooks import watching
from probe.capture.recorder import Recorder
from probe.capture.selection import Selection
from probe.dump import DumpWriter
from probe.dump.detail import chosen_detail
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
    gradients: bool = False,
    sketch: int | None = None,
    stats_only: bool = False,
    tokens_slice: str | None = None,
    compress: bool = False,
    force: bool = False,
    target: dict[str, Any] | None = None,
    progress: Progress | None = None,
    functional: str = "auto",
) -> Iterator[None]:
    """Within this block, every call of `model` is recorded into the dump `path`; each call is one step.

    The model's results stay bit for bit what they were, and no hook is left behind. (One exception is torch's own:
    nn.TransformerEncoderLayer leaves its fused path while hooks are there.) An exception of the model passes through,
    and what was recorded until then is in `<path>.partial`. If recording itself fails (no space left), the model runs
    on undisturbed, and ProbeError is raised when the block ends.

    With `gradients`, those of a backward pass that runs within the block are recorded too: of what every module
    returned, and of every parameter. They are left as they are, and no hook stays on any tensor.

    ProbeError, before the block, where `path` exists already (`force` replaces it) or cannot be written, where a glob
    matches nothing, or where options do not go together.

    Tensors of any shape, dtype and device are recorded, bit for bit: bfloat16 and fp8 too.

    `include` and `exclude` are globs over module names or whole tap names ("model.layers.0.*", "*:out"). `target`
    says how the model can be loaded again; without it a diff needs `reference=model` to replay.

    `functional` says which torch functions called between modules are recorded too (this thread's): "attention" (what
    softmax or scaled_dot_product_attention is given and returns), "all", "none", or "auto", what costs under a tenth.

    `sketch=64` keeps of each token 64 random projections and its norm, where that is less than its values;
    `stats_only` the table of statistics and hashes alone; `tokens_slice="0:16"` these tokens alone. A diff of such
    dumps replays nothing: it says about where. `compress` makes the file smaller (bfloat16 by a third), and takes
    longer; stats_only has nothing to compress.
    """
    detail = chosen_detail(sketch, stats_only=stats_only, tokens_slice=tokens_slice)
    selection = Selection(include, exclude)
    selection.check(model)
    if compress and stats_only:
        raise ProbeError("statistics alone have nothing to compress", hint="leave one of the two away")
    if gradients and tokens_slice is not None:
        raise ProbeError("tokens_slice cuts activations, not gradients", hint="leave one of the two away")
    if gradients and not torch.is_grad_enabled():
        raise ProbeError("there are no gradients under torch.no_grad()", hint="leave it, or leave gradients=True away")
    kinds = Functional(functional)
    writer = DumpWriter(Path(path), force=force, compress=compress)
    process = os.getpid()
    recorder = None
    try:
        recorder = Recorder(model, writer, selection, progress, kinds, gradients, detail)
        recorder.describe(target)
        hooks = recorder.on_inputs, recorder.on_output
        with (
            watching(model, *hooks)
            if kinds is Functional.NONE
            else watching_functions(model, *hooks, recorder.on_function, recorder.guarded)
        ):
            yield
        recorder.let_go()
        if os.getpid() != process:
            raise ProbeError(f"this process was forked while {path} was recorded: only the one that began it goes on")
        recorder.finish()
    except BaseException:
        if recorder is not None:
            recorder.let_go()
        if os.getpid() == process:
            (recorder or writer).keep_partial()
        raise
