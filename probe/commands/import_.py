"""Make a dump of arrays that any runtime has written. Prints the file's name, and how many taps and megabytes it has.

PATH is an .npz or .safetensors file, or a folder of them or of .npy files. A name says what an array is:
  model.layers.0.mlp                 a tap: what that module returned (:out)
  model.layers.0.mlp:in              what it was given; in.1, in.<keyword>, out.1 too, and norm@1:out for a second call
  0003_model.layers.0.mlp            with its place in the order of execution (or: --order FILE)
  step1/0003_model.layers.0.mlp      of step 1: a folder, or the front of a name; step_1 and iteration_1 too
  model.layers.0.mlp-step1           of step 1, as TensorRT-LLM's debug output has it
  inputs/input_ids                   what the model was fed (or: --input input_ids=NAME); inputs/past is a number:
                                     the tokens that were in its cache before the step
  weights/model.layers.0.mlp.weight  a weight (or: --weights FILE)
Use the reference's names where you can; a diff pairs others by weights, order and values, or by a mapping table.
numpy has no bfloat16 and no fp8: say with --dtype what raw 16 or 8 bits are. Where a runtime computes in bfloat16 and
writes float32, as TensorRT-LLM's debug output, say --computed-in bf16, so that a diff expects such rounding. Nothing is
ever unpickled.

examples:
  probe import npz run.npz -o cand.h5
  probe import npz tllm_debug/PP_0/TP_0 --input input_ids=input_ids -o cand.h5
  probe import safetensors taps.safetensors --order order.txt --weights model.safetensors -o cand.h5
  probe import npz bits/ --dtype bf16 --include '*.mlp:out' -o cand.h5

exit codes: 0 imported, 2 trouble
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.commands.output import check_output, extent
from probe.commands.recording import add_amount, detail_of
from probe.errors import ProbeError
from probe.render.progress import Progress, say

if TYPE_CHECKING:
    from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=["npz", "safetensors"], help="what PATH holds (npz: .npy files too)")
    parser.add_argument("path", type=file, metavar="PATH", help="a file, or a folder of files")
    parser.add_argument("-o", "--output", type=file, metavar="FILE", required=True, help="the dump")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--json", action="store_true", help="what was imported, as JSON")
    means = parser.add_argument_group("what the arrays are")
    means.add_argument(
        "--input", action="append", default=[], metavar="INPUT=NAME", help="the model was fed this array; repeatable"
    )
    means.add_argument("--order", type=file, metavar="FILE", help="names, one a line, in the order of execution")
    means.add_argument("--weights", type=file, metavar="PATH", help="the model's weights: npz or safetensors")
    means.add_argument("--dtype", metavar="TYPE", help="what raw bits are (void or unsigned): bf16, fp16, fp8, ...")
    means.add_argument(
        "--computed-in",
        metavar="TYPE",
        help="what the runtime computed in, if not in its arrays' type: bf16, fp16",
    )
    what = parser.add_argument_group("what is imported")
    what.add_argument("--include", action="append", default=[], metavar="GLOB", help="only these modules or taps")
    what.add_argument("--exclude", action="append", default=[], metavar="GLOB", help="not these; both are repeatable")
    add_amount(what)


def run(args: argparse.Namespace) -> bool:
    from probe.capture.selection import Selection
    from probe.targets.importing import ImportJob, import_arrays

    detail = detail_of(args)
    check_output(args.output, force=args.force)
    job = ImportJob(
        args.format,
        args.path,
        args.output,
        _pairs(args.input),
        args.order,
        args.weights,
        args.dtype,
        args.computed_in,
        Selection(args.include, args.exclude),
        detail,
        args.compress,
        args.force,
    )
    with Progress(quiet=args.quiet) as progress:
        notes = import_arrays(job, progress)
    for note in notes:
        say(f"note: {note}", quiet=args.quiet)
    if args.json:
        _print_json(args.output, notes)
        return False
    print(f"{args.output}: {extent(args.output)}")
    say(f"next: probe show {args.output}   or   probe diff REF.h5 {args.output}", quiet=args.quiet)
    return False


def _pairs(texts: list[str]) -> dict[str, str]:
    """`input_ids=KEY` each."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, key = text.partition("=")
        if not equals or not name or not key or name in found:
            raise ProbeError(f"--input {text!r} is not INPUT=NAME", hint="--input input_ids=tokens, each input once")
        found[name] = key
    return found


def _print_json(output: "Path", notes: list[str]) -> None:
    from probe.dump import Dump
    from probe.render.json import print_json

    with Dump(output) as dump:
        print_json(
            {
                "dump": str(output),
                "taps": len(dump.taps),
                "steps": list(dump.steps),
                "inputs": sorted(dump.inputs()),
                "weights": len(dump.weights),
                "bytes": output.stat().st_size,
                "notes": notes,
            }
        )
