"""Compare a model with itself: tokens decoded one a step, from its own cache, beside one prefill over all of them.

No reference is needed: what a step computes of a token must be what the prefill computes of it. Where it is not, the
cache is at fault (a slot that is stale, a position, a window), or what the model does in a step alone. Without tokens
to go on from, random ones are drawn.

examples:
  probe selftest hf:DIR
  probe selftest hf:DIR --prompt "The quick fox" --decode 16 --dtype bf16
  probe selftest py:port.py:build --random-tokens 40 --chunk 16
  probe selftest hf:DIR --random-tokens 40 -o runs

exit codes: 0 the steps agree with the prefill, 1 they diverge, 2 trouble
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.commands.feeding import add_feeding, add_running, add_steps, add_target, calls_of, loaded_target, target_of
from probe.commands.recording import add_choice, record_calls
from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from probe.report import Report
    from probe.targets import Loaded, Target

NUM_DECODED = 8
"""Tokens that are decoded where nobody says how many."""
NUM_RANDOM = 32
"""Random tokens before them where there is no other text."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument(
        "-o", "--output", type=file, metavar="FOLDER", help="keep the two dumps here: prefill.h5 and decode.h5"
    )
    parser.add_argument("--force", action="store_true", help="replace them if they exist")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON, as of 'probe diff'")
    add_feeding(parser)
    add_steps(parser, f"tokens that are decoded after the text (default {NUM_DECODED}); of REF.h5, its last N")
    add_running(parser)
    add_choice(parser)


def run(args: argparse.Namespace) -> bool:
    from tempfile import TemporaryDirectory

    if args.decode is None:
        args.decode = NUM_DECODED
    target = target_of(args)
    with TemporaryDirectory(prefix="probe-") as temporary, Progress(quiet=args.quiet) as progress:
        folder = args.output or file(temporary)
        for path in _paths(folder):
            if path.exists() and not args.force:
                raise ProbeError(f"{path} exists already", hint="give another folder with -o, or --force to replace it")
        loaded = loaded_target(args, target, progress)
        report, notes = _compared(loaded, target, folder, args, progress)
        in_words = tuple(_in_words(path) for path in _paths(folder))
    for note in notes:
        say(f"note: {note}", quiet=args.quiet)
    if args.json:
        from probe.render.json import print_json

        print_json({**report.to_dict(), "selftest": dict(zip(("reference", "candidate"), in_words, strict=True))})
    else:
        from probe.render.text import print_report

        print(f"selftest  reference: {in_words[0]}; candidate: {in_words[1]}")
        print_report(report)
    return report.verdict == "diverged"


def _compared(
    loaded: "Loaded", target: "Target", folder: "Path", args: argparse.Namespace, progress: Progress
) -> tuple["Report", list[str]]:
    """Steps first: they say which tokens there are."""
    from dataclasses import replace

    from probe.compare import diff
    from probe.targets.calls import Calls

    prefill, decode = _paths(folder)
    number = _num_random(args, loaded)
    if number is not None:  # the decoded ones are random then, too
        args = argparse.Namespace(**{**vars(args), "random_tokens": number + args.decode})
    calls, notes = calls_of(args, loaded, all_known=number is not None)
    if len(calls.sizes) + calls.num_greedy < 2:
        raise ProbeError("this is one prefill, and nothing beside it", hint="--decode 8, or a --chunk below the prompt")
    try:
        prefill.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProbeError(f"cannot make the folder {prefill.parent}: {error}", hint="give another one with -o") from None
    known = record_calls(loaded.model, calls, decode, target, args, progress, force=args.force).calls
    num_tokens = known.inputs[known.ids].shape[-1]
    whole: Calls = replace(known, sizes=(num_tokens,))
    record_calls(loaded.model, whole, prefill, target, args, progress, force=args.force)
    return diff(prefill, decode, reference=loaded.model, progress=progress), notes


def _num_random(args: argparse.Namespace, loaded: "Loaded") -> int | None:
    """Random tokens of the prefill: those asked for, or where nothing else is given."""
    given = (args.inputs, args.prompt, args.tokens, args.tokens_file, loaded.inputs)
    return NUM_RANDOM if args.random_tokens is None and all(one is None for one in given) else args.random_tokens


def _paths(folder: "Path") -> tuple["Path", "Path"]:
    return folder / "prefill.h5", folder / "decode.h5"


def _in_words(path: "Path") -> str:
    from probe.dump import Dump
    from probe.dump.joined import sequences
    from probe.render.steps import steps_in_words

    with Dump(path) as dump:
        return steps_in_words(dump) or f"one prefill of {sequences(dump)[0][-1].stop} tokens"
