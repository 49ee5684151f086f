"""The report a command is about: one that was saved, or the comparison made now."""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

    from probe.report import Report


def add_report(parser: argparse.ArgumentParser) -> None:
    """--report, --map and --no-replay."""
    parser.add_argument("--report", type=file, metavar="FILE.json", help="what 'probe diff REF CAND --json' printed")
    parser.add_argument("--map", type=file, metavar="FILE.toml", help="a mapping table")
    parser.add_argument("--no-replay", action="store_true", help="compare the files alone; run no model")


def given_report(args: argparse.Namespace) -> "Report":
    """Of --report, which must be of what these dumps hold; without, `probe diff` of them, with progress and errors."""
    if args.report is None:
        from probe.compare import diff
        from probe.render.progress import Progress

        with Progress(quiet=args.quiet) as progress:
            return diff(
                args.reference_dump, args.candidate_dump, table=args.map, replay=not args.no_replay, progress=progress
            )
    from probe.saved_report import read_report

    if args.no_replay:
        raise ProbeError("--no-replay has no effect with --report", hint="leave one of the two away")
    report = read_report(args.report)
    dumps = args.reference_dump, args.candidate_dump
    for told, given in zip((report.reference_path, report.candidate_path), dumps, strict=True):
        if told.rpartition("/")[2] != given.name:
            raise ProbeError(f"{args.report} is a report of {told}, not of {given}", hint="name its dumps, in order")
    for told, given in zip(report.digests, dumps, strict=False):  # none in a report of an earlier version
        if given.exists() and told != _digest(given):
            raise ProbeError(
                f"{given} was recorded anew: {args.report} is of other numbers under its name",
                hint=f"compare once more: probe diff {dumps[0]} {dumps[1]} --json > {args.report}",
            )
    return report


def _digest(path: "Path") -> str:
    from probe.dump import Dump
    from probe.dump.digest import digest

    with Dump(path) as dump:
        return digest(dump)
