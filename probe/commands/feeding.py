"""What commands that run a model take on their command line: the target, what it is fed, and how it is run."""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.errors import ProbeError
from probe.render.progress import Progress

if TYPE_CHECKING:
    from probe.targets import InputRequest, Loaded, Target
    from probe.targets.calls import Calls


def add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="what to run")


def add_feeding(parser: argparse.ArgumentParser) -> None:
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


def add_steps(parser: argparse.ArgumentParser, decode: str) -> None:
    """`decode` is the help of --decode."""
    steps = parser.add_argument_group("in which steps")
    steps.add_argument("--decode", type=int, metavar="N", help=decode)
    steps.add_argument("--chunk", type=int, metavar="C", help="the prefill comes C tokens at a time")


def add_running(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    how = parser.add_argument_group("how it is run")
    how.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="passed to a py: function, or an option of a runtime; repeatable",
    )
    how.add_argument("--dtype", metavar="TYPE", help="fp32, bf16, fp16 or fp64 (default: as the target has it)")
    how.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:1, mps ... (default cpu)")
    how.add_argument("--attn", metavar="NAME", help="eager, sdpa ...; hf: targets")
    how.add_argument("--trust-remote-code", action="store_true", help="let an hf: target run code from its folder")
    return how


def target_of(args: argparse.Namespace) -> "Target":
    from probe.targets import parse, read_arguments

    if args.seed is not None and args.random_tokens is None:
        raise ProbeError("--seed has no effect without --random-tokens", hint="--random-tokens 64 --seed 1")
    return parse(args.target, read_arguments(args.arg))


def loaded_target(args: argparse.Namespace, target: "Target", progress: Progress) -> "Loaded":
    from probe.targets import LoadOptions, load

    progress("loading the model", 0, 0)
    return load(target, LoadOptions(args.dtype, args.device, args.attn, args.trust_remote_code))


def request_of(args: argparse.Namespace) -> "InputRequest":
    from probe.targets import InputRequest

    return InputRequest(
        prompts=tuple(args.prompt or ()),
        tokens=args.tokens,
        tokens_file=args.tokens_file,
        num_random_tokens=args.random_tokens,
        dump=args.inputs,
        seed=args.seed or 0,
        pad_left=bool(args.decode or args.chunk),
    )


def calls_of(args: argparse.Namespace, loaded: "Loaded", *, all_known: bool = False) -> tuple["Calls", list[str]]:
    """What the model is to be fed in which calls, and notes. With `all_known`, the last tokens are decoded, as those
    of another run are."""
    from probe.targets import inputs_for
    from probe.targets.plan import planned
    from probe.targets.recorded import recorded_sequence

    inputs, notes = inputs_for(loaded, request_of(args))
    recorded = recorded_sequence(args.inputs).sizes if args.inputs is not None else () if all_known else None
    calls, more = planned(loaded.model, inputs, recorded, decode=args.decode, chunk=args.chunk)
    return calls, [*notes, *more]
