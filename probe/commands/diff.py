"""Compare two dumps: say where the candidate first does something of its own.

The reference is loaded once more and replayed with the candidate's tensors put in, so that an error is told from one
that came in with the inputs. That needs the reference's target: an hf: folder, or a py: function that you recorded
yourself on this machine (or name with --reference). With --no-replay, places are approximate.

Prints the verdict and where the two first part; each finding, with its cause and the evidence; the taps around the
first divergence, with the error, what of it the place made itself, the floor of honest rounding, and their ratio; how
far the outputs are apart; and how far the comparison can be trusted.

A mapping table (--map FILE.toml, or the name of one that comes with probe: nanogpt, fused-llama) overrides what is
inferred; 'probe map' writes one, and its help says all that a row may hold:
  [[pair]]
  reference = "model.layers.{i}.self_attn.q_proj"
  candidate = "blocks.{i}.attn.wqkv[0:64]"
  [[skip]]
  reference = "model.rotary_emb"
  reason = "the port has its angles in attention"

examples:
  probe diff ref.h5 cand.h5
  probe diff ref.h5 cand.h5 --json | jq .verdict
  probe diff ref.h5 cand.h5 --weights
  probe diff ref.h5 cand.h5 --reference py:reference.py:build

exit codes: 0 identical or rounding noise, 1 diverged, 2 the two cannot be compared
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file

if TYPE_CHECKING:
    from probe.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference_dump", type=file, metavar="REF", help="dump of the run taken as true")
    parser.add_argument("candidate_dump", type=file, metavar="CAND", help="dump of the run under suspicion")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON, schema 1")
    parser.add_argument("--tui", action="store_true", help="browse the report, as 'probe tui' does")
    parser.add_argument("--map", type=file, metavar="FILE.toml", help="a mapping table")
    parser.add_argument("--no-replay", action="store_true", help="compare the files alone; run no model")
    parser.add_argument("--weights", action="store_true", help="compare the weights alone: no activation, no model")
    parser.add_argument("--reference", metavar="TARGET", help="load the reference from here")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="KEY=VALUE", help="for --reference py:...; repeatable"
    )
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="let an hf: reference run code from its folder"
    )
    parser.add_argument("--trust-anyway", action="store_true", help="compare even where a check says it means nothing")


def run(args: argparse.Namespace) -> bool:
    from probe.compare import diff
    from probe.errors import ProbeError
    from probe.render.progress import Progress

    if args.no_replay and (args.reference or args.trust_remote_code):
        flag = "--reference" if args.reference else "--trust-remote-code"
        raise ProbeError(f"{flag} has no effect with --no-replay", hint="leave one of the two away")
    if args.arg and not args.reference:
        raise ProbeError(
            "--arg has no effect without --reference",
            hint="a dump's own target is loaded with the arguments it was recorded with",
        )
    if args.tui:
        from probe.commands.tui import check_terminal

        if args.json or args.weights:
            raise ProbeError(
                f"{'--json' if args.json else '--weights'} has no effect with --tui", hint="leave one of the two away"
            )
        check_terminal()
    if args.weights:
        return _weights(args)
    target = None
    if args.reference:
        from probe.targets import parse, read_arguments

        target = parse(args.reference, read_arguments(args.arg))
    with Progress(quiet=args.quiet) as progress:
        report = diff(
            args.reference_dump,
            args.candidate_dump,
            table=args.map,
            replay=not args.no_replay,
            reference_target=target,
            trust_remote_code=args.trust_remote_code,
            trust_anyway=args.trust_anyway,
            progress=progress,
        )
    if args.tui:
        from probe.commands.tui import browse

        report = browse(report, args.reference_dump, args.candidate_dump, args.map, _flags(args))
    elif args.json:
        from probe.render.json import print_json

        print_json(report.to_dict())
    else:
        from probe.render.text import print_report

        print_report(report)
    return answer(report)


def answer(report: "Report") -> bool:
    """Whether the two diverge. ProbeError where what was recorded does not tell."""
    from probe.errors import ProbeError
    from probe.report import Verdict

    if report.undecided:
        raise ProbeError(
            "what was recorded does not tell whether the two match",
            hint="do as the warning says"
            if report.unjudged
            else "record both with 'probe dump --sketch 64', or with all values",
        )
    return report.verdict is Verdict.DIVERGED


def _flags(args: argparse.Namespace) -> tuple[str, ...]:
    """What this comparison was asked for with, for one with another table."""
    switches = ("no_replay", "trust_remote_code", "trust_anyway")
    given = [f"--{name.replace('_', '-')}" for name in switches if getattr(args, name)]
    target = ["--reference", args.reference, *(word for one in args.arg for word in ("--arg", one))]
    return (*given, *(target if args.reference else ()))


def _weights(args: argparse.Namespace) -> bool:
    """Whether any weight is suspicious."""
    from probe.compare.weights import audit_weights
    from probe.errors import ProbeError

    if args.reference or args.no_replay or args.trust_remote_code:
        flag = "--reference" if args.reference else "--no-replay" if args.no_replay else "--trust-remote-code"
        raise ProbeError(
            f"{flag} has no effect with --weights", hint="no model is run for it: leave one of the two away"
        )
    found = audit_weights(args.reference_dump, args.candidate_dump, table=args.map)
    if args.json:
        from dataclasses import asdict

        from probe.render.json import print_json

        print_json({"schema": 1, "weights": [asdict(finding) for finding in found]})
    else:
        from probe.render.weights import print_audit

        print_audit(found)
    return any(finding.suspicious for finding in found)
