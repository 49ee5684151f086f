"""The `probe` command: a parser made of the commands, errors to stderr, exceptions to exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from probe import __version__
from probe.commands import COMMANDS
from probe.commands.arguments import joined
from probe.commands.completion import OPTION, SHELLS, PrintCompletion
from probe.errors import ProbeError
from probe.render.progress import say

EPILOG = """\
examples:
  probe demo                                            see it find two bugs, in half a minute
  probe dump hf:DIR --prompt "The quick fox" -o ref.h5  record the reference
  probe dump py:port.py:build --inputs ref.h5 -o cand.h5
  probe diff ref.h5 cand.h5                             say where the candidate parts, and what it does there

defaults of options may stand in pyproject.toml: [tool.probe.dump] dtype = "fp32"
exit codes: 0 the candidate matches, 1 it diverges, 2 trouble, 130 interrupted
"""


class ExitCode(IntEnum):
    """What the shell sees. A crash must never be 1: that means "diverged"."""

    MATCH = 0
    DIVERGED = 1
    TROUBLE = 2
    INTERRUPTED = 130


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line. It knows the arguments of the commands named in it: --help alone starts quicker.
    A completion script is made of all of them.

    Imports neither torch nor numpy.
    """
    parser = argparse.ArgumentParser(
        prog="probe",
        description="Record what every layer computed in a reference and in a candidate, and say where they part.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"probe {__version__}")
    parser.add_argument(
        OPTION, choices=SHELLS, action=PrintCompletion, help='for .bashrc: eval "$(probe --print-completion bash)"'
    )
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2].rstrip("_")  # `import_`: the other is Python's own
        text = command.__doc__ or ""
        added = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in words or OPTION in words:
            command.add_arguments(added)
        added.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes on stderr")
        added.add_argument("--no-color", action="store_true", help="plain text (NO_COLOR does the same)")
        added.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the only place that knows exit codes."""
    words = joined(sys.argv[1:] if argv is None else argv)
    parser = build_parser(words)
    try:
        args = parser.parse_args(words)
    except ProbeError as error:
        return _trouble(error)
    try:
        from probe.commands.defaults import add_defaults  # not for --help

        add_defaults(args, parser, words)
        if args.no_color:
            os.environ["NO_COLOR"] = "1"
        diverged = args.run(args)
        sys.stdout.flush()
    except ProbeError as error:
        return _trouble(error)
    except ImportError as error:  # of ours: what a user's own code cannot import is a ProbeError
        say(f"probe: error: 'probe {args.command}' cannot import what it needs: {error}")
        say(f"hint: pip install {error.name}" if error.name else "hint: install probe anew")
        return ExitCode.TROUBLE
    except KeyboardInterrupt:
        say("probe: interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.TROUBLE
    except (Exception, SystemExit):  # SystemExit: a model's own code may call sys.exit(0), which is no match either
        import traceback

        traceback.print_exc()
        return ExitCode.TROUBLE
    return ExitCode.DIVERGED if diverged else ExitCode.MATCH


def _trouble(error: ProbeError) -> ExitCode:
    """Say what a user can fix."""
    say(f"probe: error: {error}")
    if error.hint:
        say(f"hint: {error.hint}")
    return ExitCode.TROUBLE


if __name__ == "__main__":
    sys.exit(main())
