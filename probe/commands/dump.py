"""Run a model once, and record what every module was given and returned.

TARGET is one of
  hf:DIR or hf:ID                 a transformers model (safetensors)
  py:FILE.py:FUNCTION             a function that returns an nn.Module, or (module, inputs)
  py:package.module:FUNCTION      the same, importable

examples:
  probe dump hf:all-MiniLM-L6-v2 --prompt "A short sentence" -o ref.h5
  probe dump hf:DIR --tokens 1,15043,3186 --dtype bf16 --attn sdpa -o bf16.h5
  probe dump py:port.py:build --arg layers=6 --inputs ref.h5 -o cand.h5
"""

import argparse
import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe.targets import Target


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="what to run")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the dump (default: dumps/<target>.h5)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    feed = parser.add_argument_group("what the model is fed (one of these)")
    one = feed.add_mutually_exclusive_group()
    one.add_argument(
        "--inputs", type=Path, metavar="REF.h5", help="what another run was fed: the usual way for a candidate"
    )
    one.add_argument(
        "--prompt", action="append", metavar="TEXT", help="tokenized by the model's own tokenizer; repeat for a batch"
    )
    one.add_argument("--tokens", metavar="1,2,3", help="token ids; ';' separates sentences")
    one.add_argument("--tokens-file", type=Path, metavar="FILE", help="token ids, a sentence a line, or JSON")
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
    what = parser.add_argument_group("what is recorded")
    what.add_argument(
        "--include", action="append", default=[], metavar="GLOB", help="only these modules or taps; repeatable"
    )
    what.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="not these; repeatable")


def run(args: argparse.Namespace) -> bool:
    from probe.errors import ProbeError
    from probe.render.progress import Progress, say
    from probe.targets import InputRequest, LoadOptions, inputs_for, load, parse

    if args.seed is not None and args.random_tokens is None:
        raise ProbeError("--seed has no effect without --random-tokens")
    target = parse(args.target, dict(_argument(text) for text in args.arg))
    output = args.output or Path("dumps") / f"{_file_name(target)}.h5"
    if output.exists() and not args.force:
        raise ProbeError(f"{output} exists already", hint="give another name with -o, or --force to replace it")
    with Progress(quiet=args.quiet) as progress:
        progress("loading the model", 0, 0)
        options = LoadOptions(args.dtype, args.device, args.attn, args.trust_remote_code)
        loaded = load(target, options)
        request = InputRequest(
            tuple(args.prompt or ()), args.tokens, args.tokens_file, args.random_tokens, args.inputs, args.seed or 0
        )
        inputs, notes = inputs_for(loaded, request)
        num_taps, size = _record(loaded.model, inputs, output, target, args, progress)
    for note in notes:
        say(f"note: {note}", quiet=args.quiet)
    print(f"{output}: {num_taps} taps, {size / 1e6:.1f} MB")
    say(f"next: probe show {output}   or   probe diff REF.h5 {output}", quiet=args.quiet)
    return False


def _record(
    model: Any, inputs: Any, output: Path, target: "Target", args: argparse.Namespace, progress: Any
) -> tuple[int, int]:
    import torch

    from probe.capture.record import record
    from probe.dump import Dump
    from probe.errors import ProbeError
    from probe.targets import sign

    if output.parent == Path("dumps"):
        output.parent.mkdir(exist_ok=True)
    try:
        with (
            torch.no_grad(),
            record(
                model,
                output,
                include=args.include,
                exclude=args.exclude,
                force=args.force,
                target=sign(target),
                progress=lambda taps, size: progress(f"recording ({taps} taps, {size / 1e6:.0f} MB)", 0, 0),
            ),
        ):
            model(**inputs)
    except ProbeError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProbeError(
            f"the model raised {type(error).__name__} while it was recorded: {reason}",
            hint=f"what ran until then is in {output}.partial: probe show {output}.partial",
        ) from error
    with Dump(output) as dump:
        return len(dump.taps), output.stat().st_size


def _argument(text: str) -> tuple[str, Any]:
    """`key=value`; the value is a Python literal where it reads as one, else text."""
    from probe.errors import ProbeError

    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise ProbeError(f"--arg {text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _file_name(target: "Target") -> str:
    """`hf:models/tiny-llama` -> tiny-llama; `py:port.py:build` -> port-build."""
    if target.kind == "hf":
        return Path(target.place).name or "model"
    where, _, function = target.place.rpartition(":")
    return f"{Path(where).stem if where.endswith('.py') else where.rpartition('.')[2]}-{function}"
