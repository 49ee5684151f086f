"""Write a comparison as one HTML file to send: verdict, evidence, pictures, all taps, both runs.

The file needs no network and no other file. The two are compared first, as 'probe diff' does it and with its errors; a
report that 'probe diff --json' wrote is taken instead with --report, and then a dump may have gone: what only it could
show is left out, and why is said. Prints the name of the file and its size.

--markdown prints a short text instead, to paste into an issue: verdict, how far the outputs are apart, findings,
environment, and the commands. Nothing in it is a link, a mention or markup, whatever the names are.

examples:
  probe report ref.h5 cand.h5 -o report.html
  probe report ref.h5 cand.h5 --report report.json -o report.html
  probe report ref.h5 cand.h5 --markdown

exit codes: as of 'probe diff', whose verdict it is; a file is written whatever the verdict
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
    parser.add_argument("candidate_dump", type=file, metavar="CAND", help="dump of the run under suspicion")
    parser.add_argument("-o", "--output", type=file, metavar="FILE", help="the file to write")
    parser.add_argument("--markdown", action="store_true", help="a short text instead, on stdout or into FILE.md")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    add_report(parser)


def run(args: argparse.Namespace) -> bool:
    from probe.errors import ProbeError

    if args.output is None and not args.markdown:
        raise ProbeError("a page needs a file", hint="name it: -o report.html; or --markdown, which prints")
    if args.output is None and args.force:
        raise ProbeError("--force has no effect without -o", hint="name a file, or leave it away")
    if args.output is not None:
        _check(args.output, markdown=args.markdown, force=args.force)
    report = given_report(args)
    text = _markdown(report, args) if args.markdown else _page(report, args)
    if args.output is None:
        print(text, end="")
    else:
        _write(args.output, text)
        print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")
    return answer(report)


def _check(output: "Path", *, markdown: bool, force: bool) -> None:
    """Its ending keeps --force from replacing a dump. ProbeError where it cannot be written."""
    from probe.commands.output import check_output
    from probe.errors import ProbeError

    endings = (".md", ".markdown") if markdown else (".html", ".htm")
    if output.suffix.lower() not in endings:
        what = "Markdown" if markdown else "a page"
        other = "; --markdown writes a text" if not markdown and output.suffix == ".md" else ""
        raise ProbeError(
            f"{output} is to be {what}, and does not end in {endings[0]}",
            hint=f"name it: -o {output.with_suffix(endings[0]).name}{other}",
        )
    check_output(output, force=force, example=f"report{endings[0]}")


def _write(output: "Path", text: str) -> None:
    from probe.errors import ProbeError

    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise ProbeError(f"{output} cannot be written: {error.strerror}", hint="name another file with -o") from None


def _page(report: "Report", args: argparse.Namespace) -> str:
    from probe.render.page import Line, document, pictures
    from probe.render.runs import run_of

    runs = run_of(args.reference_dump), run_of(args.candidate_dump)
    compared = [Line("the two were compared, for this page", _words("report", args, args.report, args.output))]
    if args.report is not None:
        compared = [
            Line("the comparison was read from", str(args.report), is_command=False),
            Line("to compare the two again", _again(report, args)),
        ]
    drawn = pictures(report, args.reference_dump, args.candidate_dump, args.map)
    return document(report, *runs, drawn, compared)


def _markdown(report: "Report", args: argparse.Namespace) -> str:
    from probe.render.markdown import markdown
    from probe.render.runs import run_of

    runs = run_of(args.reference_dump), run_of(args.candidate_dump)
    return markdown(report, *runs, [_again(report, args)])


def _again(report: "Report", args: argparse.Namespace) -> str:
    """What gives this verdict; where a check failed, that took a word more."""
    from probe.report import Status

    failed = any(check.status is Status.FAIL for check in report.trust)
    return _words("diff", args) + (" --trust-anyway" if failed else "")


def _words(command: str, args: argparse.Namespace, saved: "Path | None" = None, output: "Path | None" = None) -> str:
    """A command line over these dumps."""
    import shlex

    words = ["probe", command, str(args.reference_dump), str(args.candidate_dump)]
    for flag, value in (("--report", saved), ("--map", args.map), ("-o", output)):
        words += [flag, str(value)] if value is not None else []
    return shlex.join([*words, *(["--no-replay"] if args.no_replay else [])])
