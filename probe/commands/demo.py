"""Record a small reference and a port of it with two bugs, and find them. No network, half a minute.

Prints what 'probe diff' prints. The dumps stay in dumps/, to go on with.

examples:
  probe demo
  probe demo --json | jq .findings

exit codes: 0 both bugs were seen, 2 trouble
"""

import argparse
import io
from contextlib import nullcontext, redirect_stdout
from types import ModuleType

from probe.render.progress import say

REFERENCE, REFERENCE_DUMP = "py:probe.demo.reference:build", "dumps/demo-reference.h5"
PORT, PORT_DUMP = "py:probe.demo.port:build", "dumps/demo-port.h5"
NUM_TOKENS = 64
CLOSING = f"""
The port has two bugs: in layer 3 a norm uses eps 1e-5 where the reference has 1e-6, and the sliding
window of layers 0, 2 and 4 lets a token see 17 tokens instead of 16. Go on with
  probe show {REFERENCE_DUMP}
  probe show {PORT_DUMP} blocks.0.attn.wo:in
  probe diff {REFERENCE_DUMP} {PORT_DUMP} --json
  probe dump {PORT} --arg bugs= --inputs {REFERENCE_DUMP} -o dumps/demo-clean.h5
  probe diff {REFERENCE_DUMP} dumps/demo-clean.h5"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the report as JSON, as probe diff --json prints it")


def run(args: argparse.Namespace) -> bool:
    """The same code as `probe dump` and `probe diff`; the exit code is 0 where the port was seen to diverge."""
    from probe.commands import diff, dump

    with redirect_stdout(io.StringIO()) if args.json else nullcontext():  # JSON stands alone
        feed = ["--random-tokens", str(NUM_TOKENS)]
        _run(dump, [REFERENCE, *feed, "-o", REFERENCE_DUMP, "--force"], quiet=args.quiet)
        _run(dump, [PORT, "--inputs", REFERENCE_DUMP, "-o", PORT_DUMP, "--force"], quiet=args.quiet)
    json = ["--json"] if args.json else []
    diverged = _run(diff, [REFERENCE_DUMP, PORT_DUMP, *json], quiet=args.quiet)
    assert diverged, "the port's two bugs went unnoticed"
    for line in CLOSING.split("\n"):
        say(line, quiet=args.quiet)
    return False


def _run(command: ModuleType, words: list[str], *, quiet: bool) -> bool:
    say(f"$ probe {command.__name__.rpartition('.')[2]} {' '.join(words)}", quiet=quiet)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return bool(command.run(parser.parse_args(words, argparse.Namespace(quiet=quiet))))
