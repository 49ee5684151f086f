"""`probe dump` of a target that PyTorch does not run: which flags mean something there, and the run."""

import argparse
from typing import TYPE_CHECKING

from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from probe.targets import Target

OF_PYTORCH = ("--dtype", "--attn", "--trust-remote-code", "--repeat")
"""Flags that say how a PyTorch model is run."""


def dump_runtime(args: argparse.Namespace, target: "Target", output: "Path", progress: Progress) -> list[str]:
    """Run and record; the notes. ProbeError for flags without effect."""
    from probe.capture.selection import Selection
    from probe.commands.feeding import request_of
    from probe.dump.detail import chosen_detail
    from probe.targets.runtime import Job, record_runtime

    given = [flag for flag in OF_PYTORCH if getattr(args, flag.removeprefix("--").replace("-", "_"))]
    given += ["--device"] * (args.device != "cpu") + ["--functional"] * (args.functional != "auto")
    if given:
        raise ProbeError(f"{given[0]} has no effect on a {target.kind}: target", hint="leave it away")
    job = Job(
        target,
        request_of(args),
        output,
        args.decode,
        args.chunk,
        Selection(args.include, args.exclude),
        chosen_detail(args.sketch, stats_only=args.stats_only, tokens_slice=args.tokens_slice),
        args.compress,
        args.force,
    )
    try:
        return record_runtime(job, progress)
    except KeyboardInterrupt:
        if (partial := output.with_name(f"{output.name}.partial")).exists():
            say(f"what ran until then is in {partial}", quiet=args.quiet)
        raise
