"""Run a model once, and record what every module was given and returned.

Prints the file's name, and how many taps and megabytes it has; notes on stderr say what was left out or made up.

TARGET is one of
  hf:DIR or hf:ID                 a transformers model (safetensors)
  py:FILE.py:FUNCTION             a function that returns an nn.Module, or (module, inputs)
  py:package.module:FUNCTION      the same, importable
  gguf:FILE                       a llama.cpp model; --arg sets options of the runtime
  onnx:FILE                       a graph for ONNX Runtime

examples:
  probe dump hf:all-MiniLM-L6-v2 --prompt "A short sentence" -o ref.h5
  probe dump hf:DIR --tokens 1,15043,3186 --dtype bf16 --attn sdpa -o bf16.h5
  probe dump py:port.py:build --arg layers=6 --inputs ref.h5 -o cand.h5
  probe dump hf:DIR --tokens 1,15043,3186 --device cuda --repeat 2 -o ref.h5
  probe dump hf:DIR --prompt "The quick fox" --decode 8 -o ref.h5
  probe dump gguf:model.gguf --inputs ref.h5 --arg flash=True --arg kv=f16 -o cand.h5

A gguf: target's taps are named as its weights (blk.3.attn_q:out) and, between them, as ggml's tensors or operations
(blk.3.@ffn_swiglu:out). --arg takes flash (False), kv (f32), repack (False), threads, batch,
context; so it is as exact as it can be.

exit codes: 0 recorded; 2 trouble, and what ran until then is in FILE.partial
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.commands.feeding import add_feeding, add_running, add_steps, add_target, calls_of, loaded_target, target_of
from probe.commands.output import FOLDER, check_output, extent
from probe.commands.recording import add_recording, detail_of, record_calls
from probe.commands.runtime import dump_runtime
from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from probe.targets import Target


DECODE = (
    "after the prompt N tokens more, one a step, with the model's own cache; each is the likeliest, and none ends it. "
    "With --inputs the tokens are REF.h5's, and its last N are decoded (0: one prefill of all; default: as REF.h5)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("-o", "--output", type=file, metavar="FILE", help="the dump (default: dumps/<target>.h5)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_feeding(parser)
    add_steps(parser, DECODE)
    add_running(parser).add_argument(
        "--repeat",
        type=int,
        metavar="N",
        help="run it N times in all, and keep how far taps then differ: no difference below that is blamed",
    )
    add_recording(parser)


def run(args: argparse.Namespace) -> bool:
    from probe.targets.afterwards import left_out
    from probe.targets.target import RUNTIMES

    if args.repeat is not None and args.repeat < 2:
        raise ProbeError(f"--repeat {args.repeat} repeats nothing", hint="--repeat 2 runs the model once more")
    _check_detail(args)
    target = target_of(args)
    output = args.output or file(FOLDER) / f"{_file_name(target)}.h5"
    check_output(output, force=args.force)
    with Progress(quiet=args.quiet) as progress:
        run = dump_runtime if target.kind in RUNTIMES else _dump_model
        notes = run(args, target, output, progress) + left_out(output)
    for note in notes:
        say(f"note: {note}", quiet=args.quiet)
    print(f"{output}: {extent(output)}")
    say(_next(args.inputs, output), quiet=args.quiet)
    return False


def _next(fed_by: "Path | None", output: "Path") -> str:
    """A run that was fed what another was is a candidate; any other may be the reference of one."""
    then = f"diff {fed_by} {output}" if fed_by else f"dump CANDIDATE --inputs {output} -o cand.h5"
    return f"next: probe show {output}   or   probe {then}"


def _dump_model(args: argparse.Namespace, target: "Target", output: "Path", progress: Progress) -> list[str]:
    """A PyTorch model."""
    from probe.targets.afterwards import ask_for_template, run_again
    from probe.targets.other_tokens import other_tokens

    loaded = loaded_target(args, target, progress)
    calls, notes = calls_of(args, loaded)
    played = record_calls(loaded.model, calls, output, target, args, progress, force=args.force)
    if args.inputs:
        notes += other_tokens(played, args.inputs)
    if args.prompt and target.kind == "hf":
        notes += ask_for_template(output, target, args.prompt, trust_remote_code=args.trust_remote_code)
    if args.repeat:
        progress("running it again", 0, 0)
        notes += run_again(loaded.model, played.calls, output, args.repeat)
    return notes


def _check_detail(args: argparse.Namespace) -> None:
    """Before a model is loaded, which may take minutes."""
    detail_of(args)
    flags = {"--sketch": args.sketch, "--stats-only": args.stats_only, "--tokens-slice": args.tokens_slice}
    flag = next((flag for flag, given in flags.items() if given), None)
    if args.repeat and flag:
        raise ProbeError(f"--repeat compares values, which {flag} does not keep", hint="leave one of the two away")


def _file_name(target: "Target") -> str:
    """`hf:models/tiny-llama` -> tiny-llama; `gguf:tiny.gguf` -> tiny; `py:port.py:build` -> port-build."""
    if target.kind == "hf":
        return file(target.place).name or "model"
    if target.kind != "py":
        return file(target.place).stem
    where, _, function = target.place.rpartition(":")
    return f"{file(where).stem if where.endswith('.py') else where.rpartition('.')[2]}-{function}"
