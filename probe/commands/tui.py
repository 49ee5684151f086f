"""Browse a comparison, or one dump, in the terminal: opens on the first divergence.

The two are compared first, as 'probe diff' does it and with its errors; a report that 'probe diff --json' wrote is
taken instead with --report, and the screen is there at once. '?' shows the keys, 'q' leaves.

examples:
  probe tui ref.h5 cand.h5
  probe tui ref.h5
  probe tui ref.h5 cand.h5 --report report.json

exit codes: as of 'probe diff' where there are two dumps; of one, 0
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file
from probe.commands.diff import answer
from probe.commands.given import add_report, given_report

if TYPE_CHECKING:
    from pathlib import Path

    from probe.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference_dump", type=file, metavar="REF", help="dump of the run taken as true")
    parser.add_argument("candidate_dump", type=file, nargs="?", metavar="CAND", help="dump of the run under suspicion")
    add_report(parser)


def run(args: argparse.Namespace) -> bool:
    from probe.dump import Dump
    from probe.errors import ProbeError

    check_terminal()
    if args.candidate_dump is not None:
        for path in (args.reference_dump, args.candidate_dump):
            Dump(path).close()
        flags = ("--no-replay",) if args.no_replay else ()
        return answer(browse(given_report(args), args.reference_dump, args.candidate_dump, args.map, flags))
    for flag, given in (("--report", args.report), ("--map", args.map), ("--no-replay", args.no_replay)):
        if given:
            raise ProbeError(f"{flag} has no effect without CAND", hint="name both dumps")
    with Dump(args.reference_dump) as dump:
        taps = dump.taps
    if not taps:
        raise ProbeError(f"{args.reference_dump} holds no tap", hint="record it again")
    from tui.app import ProbeApp, Subject

    ProbeApp(Subject(args.reference_dump), None, taps).run()
    return False


def browse(
    report: "Report", reference: "Path", candidate: "Path", table: "Path | None", flags: tuple[str, ...]
) -> "Report":
    """Take the terminal until the user leaves; the latest report. `flags`: of `probe diff`, for a changed table."""
    from tui.app import ProbeApp, Subject

    app = ProbeApp(Subject(reference, candidate, table, flags), report)
    app.run()
    return app.report or report


def check_terminal() -> None:
    """ProbeError where there is none."""
    import sys

    from probe.errors import ProbeError

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ProbeError("there is no terminal to browse in", hint="probe diff REF CAND, or probe show FILE, print")
