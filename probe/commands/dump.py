"""Run a model once, and record what every module was given and returned.

TARGET is one of
  hf:DIR or hf:ID                 a transformers model (safetensors)
  py:FILE.py:FUNCTION             a function that returns an nn.Module, or (module, inputs)
  py:package.module:FUNCTION      the same, importable

examples:
  probe dump hf:all-MiniLM-L6-v2 --prompt "A short sentence" -o ref.h5
  probe dump hf:DIR --tokens 1,15043,3186 --dtype bf16 --attn sdpa -o bf16.h5
  probe dump py:port.py:build --arg layers=6 --inputs ref.h5 -o cand.h5
  probe dump hf:DIR --tokens 1,15043,3186 --device cuda --repeat 2 -o ref.h5
"""

import argparse
from typing import TYPE_CHECKING, Any

from probe.commands.arguments import file
from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from probe.targets import Target


FOLDER = "dumps"
"""Where dumps go that are given no name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="what to run")
    parser.add_argument("-o", "--output", type=file, metavar="FILE", help="the dump (default: dumps/<target>.h5)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    feed = parser.add_argument_group("what the model is fed (one of these)")
    one = feed.add_mutually_exclusive_group()
    one.add_argument(
        "--inputs", type=file, metavar="REF.h5", help="what another run was fed: the usual way for a candidate"
    )
    one.add_argument(
        "--prompt", action="append", metavar="TEXT", help="tokenized by the model's own tokenizer; repeat for a batch"
    )
    one.add_argument("--tokens", metavar="1,2,3", help="token ids; ';' separates sentences")
    one.add_argument("--tokens-file", type=file, metavar="FILE", help="token ids, a sentence a line, or JSON")
    one.add_argument("--random-tokens", type=int, metavar="N", help="N random ids of the vocabulary")
    feed.add_argument("--seed", type=int, default=None, metavar="S", help="for --random-tokens (default 0)")
    how = parser.add_argument_group("how it is run")
    how.add_argument(
        "--arg", action="append", default=[], metavar="KEY=VALUE", help="passed to a py: function; repeatable"
    )
    how.add_argument("--dtype", metavar="TYPE", help="fp32, bf16, fp16 or fp64 (default: as the target has it)")
    how.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:1, mps ... (default cpu)")
    how.add_argument("--attn", metavar="NAME", help="eager, sdpa ...; hf: targets")
    how.add_argument("--trust-remote-code", action="store_true", help="let an hf: target run code from its folder")
    how.add_argument(
        "--repeat",
        type=int,
        metavar="N",
        help="run it N times in all, and keep how far taps then differ: no difference below that is blamed",
    )
    what = parser.add_argument_group("what is recorded")
    what.add_argument(
        "--include", action="append", default=[], metavar="GLOB", help="only these modules or taps; repeatable"
    )
    what.add_argument(
        "--functional",
        choices=["auto", "all", "attention", "none"],
        default="none",
        help="calls of torch functions between modules too: attention's query and key, softmax, ... "
        "(auto: what costs under a tenth)",
    )
    what.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="not these; repeatable")


def run(args: argparse.Namespace) -> bool:
    from probe.targets import InputRequest, LoadOptions, inputs_for, load, parse, read_arguments
    from probe.targets.afterwards import ask_for_template, left_out, run_again

    if args.seed is not None and args.random_tokens is None:
        raise ProbeError("--seed has no effect without --random-tokens", hint="--random-tokens 64 --seed 1")
    if args.repeat is not None and args.repeat < 2:
        raise ProbeError(f"--repeat {args.repeat} repeats nothing", hint="--repeat 2 runs the model once more")
    target = parse(args.target, read_arguments(args.arg))
    output = args.output or file(FOLDER) / f"{_file_name(target)}.h5"
    _check_output(output, force=args.force)
    with Progress(quiet=args.quiet) as progress:
        progress("loading the model", 0, 0)
        options = LoadOptions(args.dtype, args.device, args.attn, args.trust_remote_code)
        loaded = load(target, options)
        request = InputRequest(
            tuple(args.prompt or ()), args.tokens, args.tokens_file, args.random_tokens, args.inputs, args.seed or 0
        )
        inputs, notes = inputs_for(loaded, request)
        num_taps, size = _record(loaded.model, inputs, output, target, args, progress)
        if args.prompt and target.kind == "hf":
            notes += ask_for_template(output, target, args.prompt, trust_remote_code=args.trust_remote_code)
        if args.repeat:
            progress("running it again", 0, 0)
            notes += run_again(loaded.model, inputs, output, args.repeat)
    notes += left_out(output)
    for note in notes:
        say(f"note: {note}", quiet=args.quiet)
    print(f"{output}: {num_taps} taps, {size / 1e6:.1f} MB")
    say(f"next: probe show {output}   or   probe diff REF.h5 {output}", quiet=args.quiet)
    return False


def _check_output(output: "Path", *, force: bool) -> None:
    """Before a model is loaded, which may take minutes."""
    if output.is_dir():
        raise ProbeError(f"{output} is a folder", hint=f"name a file in it: -o {output / 'ref.h5'}")
    if output.exists() and not force:
        raise ProbeError(f"{output} exists already", hint="give another name with -o, or --force to replace it")
    if str(output.parent) == FOLDER:
        output.parent.mkdir(exist_ok=True)
    elif not output.parent.is_dir():
        raise ProbeError(f"there is no folder {output.parent}", hint=f"mkdir -p {output.parent}")


def _record(
    model: "nn.Module",
    inputs: dict[str, Any],
    output: "Path",
    target: "Target",
    args: argparse.Namespace,
    progress: Progress,
) -> tuple[int, int]:
    """Number of taps, and bytes. What the model raises is the user's to fix."""
    import torch

    from probe.capture.record import record
    from probe.dump import Dump
    from probe.targets import sign
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
                force=args.force,
                target=sign(target),
                progress=lambda taps, size: progress(f"recording ({taps} taps, {size / 1e6:.0f} MB)", 0, 0),
            ),
        ):
            model(**inputs)
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
    with Dump(output) as dump:
        return len(dump.taps), output.stat().st_size


def _file_name(target: "Target") -> str:
    """`hf:models/tiny-llama` -> tiny-llama; `py:port.py:build` -> port-build."""
    if target.kind == "hf":
        return file(target.place).name or "model"
    where, _, function = target.place.rpartition(":")
    return f"{file(where).stem if where.endswith('.py') else where.rpartition('.')[2]}-{function}"
