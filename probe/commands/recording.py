"""What commands that record a model take on their command line, and the run of it under a recorder."""

import argparse
from typing import TYPE_CHECKING

from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from probe.dump.detail import Detail
    from probe.targets import Target
    from probe.targets.calls import Calls, Played


def add_recording(parser: argparse.ArgumentParser) -> None:
    add_amount(add_choice(parser))


def add_choice(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which taps; their values are kept in full."""
    parser.set_defaults(sketch=None, stats_only=False, tokens_slice=None, compress=False)
    what = parser.add_argument_group("what is recorded")
    what.add_argument(
        "--include", action="append", default=[], metavar="GLOB", help="only these modules or taps; repeatable"
    )
    what.add_argument(
        "--functional",
        choices=["auto", "all", "attention", "none"],
        default="auto",
        help="calls of torch functions between modules too: attention's query and key, softmax, ... "
        "(auto: what costs under a tenth)",
    )
    what.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="not these; repeatable")
    return what


def add_amount(what: argparse._ArgumentGroup) -> None:
    """How much of each tap."""
    what.add_argument(
        "--sketch",
        type=int,
        metavar="K",
        help="of each token K random projections and its norm in place of its values: small, and a diff of two still "
        "says how far apart they are, and about where (64: to a tenth)",
    )
    what.add_argument("--stats-only", action="store_true", help="statistics and hashes, no values")
    what.add_argument("--compress", action="store_true", help="a smaller file (bf16: by a third), which takes longer")
    what.add_argument("--tokens-slice", metavar="START:STOP", help="these tokens alone, as Python slices: 0:16, -4:")


def detail_of(args: argparse.Namespace) -> "Detail":
    """How much of each tap is asked for. ProbeError for flags that do not go together."""
    from probe.dump.detail import chosen_detail

    if args.compress and args.stats_only:
        raise ProbeError("--compress has no effect with --stats-only", hint="leave one of the two away")
    return chosen_detail(args.sketch, stats_only=args.stats_only, tokens_slice=args.tokens_slice)


def record_calls(
    model: "nn.Module",
    calls: "Calls",
    output: "Path",
    target: "Target",
    args: argparse.Namespace,
    progress: Progress,
    *,
    force: bool,
) -> "Played":
    """Run the model and record it. What the model raises is the user's to fix."""
    import torch

    from probe.capture.record import record
    from probe.targets import sign
    from probe.targets.calls import play
    from probe.targets.foreign import message, raised_at

    try:
        with (
            torch.no_grad(),
            record(
                model,
                output,
                include=args.include,
                exclude=args.exclude,
                functional=args.functional,
                sketch=args.sketch,
                stats_only=args.stats_only,
                compress=args.compress,
                tokens_slice=args.tokens_slice,
                force=force,
                target=sign(target),
                progress=lambda taps, size: progress(f"recording ({taps} taps, {size / 1e6:.0f} MB)", 0, 0),
            ),
        ):
            return play(model, calls)
    except ProbeError:
        raise
    except KeyboardInterrupt:
        say(f"what ran until then is in {output}.partial", quiet=args.quiet)
        raise
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__} while it was recorded: {message(error)}{raised_at(error)}"
        raise ProbeError(
            f"the model raised {what}",
            hint=f"what ran until then is in {output}.partial: probe show {output}.partial",
        ) from error
