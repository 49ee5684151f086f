"""Draw a comparison into a PNG, SVG or PDF file.

Of the comparison, which is made as 'probe diff' makes it, or read with --report FILE.json:
  depth      error over depth, the floor of honest rounding, and where the findings are; of a decode a line a step
  ledger     who explains how much of the output's error
  weights    what became of each weight; no model is run
Of the values in the two dumps, with no verdict; --report tells three of them how large rounding is there, and which
tap or module is meant where --tap or --module is not given, that of the first divergence:
  tokens     layers by tokens: in which layer, from which token on
  channels   tokens by channels of one tap
  histogram  one tap's numbers on both sides, and their difference
  attention  mask and probabilities of a module's head on both sides, and their difference
  logits     the ten likeliest words of both sides, by their ids

examples:
  probe plot ref.h5 cand.h5 -o depth.svg
  probe plot ref.h5 cand.h5 --report report.json --kind tokens -o tokens.png
  probe plot ref.h5 cand.h5 --kind channels --tap model.layers.0.mlp:out -o mlp.png
  probe plot ref.h5 cand.h5 --kind channels --report report.json -o first-divergence.png
  probe plot ref.h5 cand.h5 --kind attention --module model.layers.0.self_attn --head 3 -o head.pdf

exit codes: 2 where there is no picture; else of depth and ledger as of 'probe diff', of weights 1 where one is
suspicious, and 0 of the others, which give no verdict
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from probe.commands.arguments import file
from probe.commands.diff import answer
from probe.commands.given import add_report, given_report
from probe.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from probe.report import Report

KINDS = {
    "depth": ("report", "no_replay"),
    "ledger": ("report", "no_replay"),
    "weights": ("report",),
    "tokens": ("report", "step"),
    "channels": ("report", "step", "tap"),
    "histogram": ("report", "step", "tap"),
    "attention": ("report", "step", "module", "head"),
    "logits": ("step", "token"),
}
"""Each with the options that have an effect on it; --map has one on all."""
NEEDED = {"channels": "tap", "histogram": "tap", "attention": "module"}
ENDINGS = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference_dump", type=file, metavar="REF", help="dump of the run taken as true")
    parser.add_argument("candidate_dump", type=file, metavar="CAND", help="dump of the run under suspicion")
    parser.add_argument("-o", "--output", type=file, required=True, metavar="FILE", help="ends in .png, .svg or .pdf")
    parser.add_argument("--kind", choices=tuple(KINDS), default="depth", help="of picture (default: depth)")
    parser.add_argument("--tap", metavar="NAME", help="the reference's tap, of channels and histogram")
    parser.add_argument("--module", metavar="NAME", help="the reference's module, of attention")
    parser.add_argument("--head", type=int, metavar="N", help="of attention (default: 0)")
    parser.add_argument("--token", type=int, metavar="N", help="of logits: the one before (default: -1, the last)")
    parser.add_argument("--step", type=int, metavar="N", help="which step's values (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_report(parser)


def run(args: argparse.Namespace) -> bool:
    from probe.commands.output import check_output

    if args.output.suffix.lower() not in ENDINGS:
        raise ProbeError(
            f"{args.output} is to be a picture, and does not end in .png, .svg or .pdf",
            hint=f"name it: -o {args.output.with_suffix('.png').name}",
        )
    _check(args)
    check_output(args.output, force=args.force, example=f"{args.kind}.png")
    figure, report = _drawn(args)
    _write(figure, args.output)
    print(f"{args.output}: {args.output.stat().st_size / 1e3:.0f} kB")
    if args.kind == "weights":
        return report is not None and any(finding.suspicious for finding in report.weights)
    return answer(report) if report is not None and args.kind in ("depth", "ledger") else False


def _check(args: argparse.Namespace) -> None:
    """ProbeError where an option is given that does nothing, or one is not that is needed."""
    for option in dict.fromkeys(one for options in KINDS.values() for one in options):
        if getattr(args, option) not in (None, False) and option not in KINDS[args.kind]:
            others = ", ".join(kind for kind, options in KINDS.items() if option in options)
            raise ProbeError(
                f"--{option.replace('_', '-')} has no effect with --kind {args.kind}", hint=f"it is for --kind {others}"
            )
    needed = NEEDED.get(args.kind)
    if needed and getattr(args, needed) is None and args.report is None:
        raise ProbeError(
            f"--kind {args.kind} needs --{needed}",
            hint=f"'probe show {args.reference_dump}' lists what there is; or take that of the first divergence: "
            f"--report FILE.json",
        )
    if args.kind == "attention" and args.module is not None and args.report is not None:
        raise ProbeError("--report has no effect with --module", hint="leave one of the two away")


def _drawn(args: argparse.Namespace) -> "tuple[Figure, Report | None]":
    """The picture, and the report that it is of or was given."""
    from probe.render import plots
    from probe.render.progress import Progress

    report = _report(args)
    draw: Callable[..., Figure] = getattr(plots, args.kind)
    if args.kind in ("ledger", "weights"):
        return draw(report), report
    both = args.reference_dump, args.candidate_dump
    if args.kind == "depth":
        there = both if all(path.exists() for path in both) else ()  # a saved report may outlive its dumps
        return draw(report, *there, table=args.map), report
    of, step = _subject(args, report)
    given: dict[str, Any] = {"table": args.map, "step": step}
    if "report" in KINDS[args.kind] and args.kind != "attention":
        given["report"] = report
    if args.head is not None:
        given["head"] = args.head
    if args.token is not None:
        given["token"] = args.token
    with Progress(quiet=args.quiet) as progress:
        progress("reading the two dumps", 0, 0)
        return draw(*both, *of, **given), report


def _subject(args: argparse.Namespace, report: "Report | None") -> tuple[tuple[str, ...], int]:
    """The tap or module, of kinds that are of one, and the step: what is not given, as at the first divergence."""
    from probe.render.plots.first import attention_at_fault
    from probe.render.progress import say
    from probe.words import neighbourhood

    needed = NEEDED.get(args.kind)
    if needed is None:
        return (), args.step or 0
    given: str | None = getattr(args, needed)
    if given is not None or report is None:
        return (given or "",), args.step or 0
    if report.first is None:
        raise ProbeError(f"{args.report} tells of no divergence", hint=f"say what is to be drawn: --{needed}")
    found = report.first.tap if needed == "tap" else attention_at_fault(report)
    if not found:
        raise ProbeError(
            f"{report.first.module or 'the model itself'}, where the two first diverge, has no attention of its own",
            hint=f"say which: --module; 'probe show {args.reference_dump}' lists what there is",
        )
    around = neighbourhood(report)
    step = report.taps[around[1]].step if args.step is None and around else args.step or 0
    say(f"note: --{needed} {found}, where the two first diverge", quiet=args.quiet)
    return (found,), step


def _report(args: argparse.Namespace) -> "Report | None":
    """None where none was given, and none is needed."""
    if args.report is not None or args.kind in ("depth", "ledger"):
        return given_report(args)
    if args.kind != "weights":
        return None
    return given_report(argparse.Namespace(**vars(args) | {"no_replay": True}))


def _write(figure: "Figure", output: "Path") -> None:
    """Once it is drawn: what cannot be drawn replaces no file."""
    from io import BytesIO

    from probe.render.plots import save

    drawn = BytesIO()
    save(figure, drawn, output.suffix[1:].lower())
    try:
        output.write_bytes(drawn.getvalue())
    except OSError as error:
        raise ProbeError(f"{output} cannot be written: {error.strerror}", hint="name another file with -o") from None
