"""Record a small reference and a port of it with two bugs, and find them. No network, half a minute.

The dumps stay in dumps/, to go on with.
"""

import argparse
from pathlib import Path
from types import ModuleType

REFERENCE = "py:probe.demo.reference:build"
PORT = "py:probe.demo.port:build"
FOLDER = Path("dumps")
NUM_TOKENS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the report as JSON, as probe diff --json prints it")


def run(args: argparse.Namespace) -> bool:
    """The same code as `probe dump` and `probe diff`; the exit code is 0 where it found what was planted."""
    from probe.commands import diff, dump
    from probe.render.progress import say

    reference, port = FOLDER / "demo-reference.h5", FOLDER / "demo-port.h5"
    lines: list[tuple[ModuleType, list[str]]] = [
        (dump, [REFERENCE, "--random-tokens", str(NUM_TOKENS), "-o", str(reference), "--force"]),
        (dump, [PORT, "--inputs", str(reference), "-o", str(port), "--force"]),
        (diff, [str(reference), str(port), *(["--json"] if args.json else [])]),
    ]
    for command, words in lines:
        say(f"$ probe {command.__name__.rpartition('.')[2]} {' '.join(words)}", quiet=args.quiet)
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        command.run(parser.parse_args(words, argparse.Namespace(quiet=args.quiet)))
    say(
        "\nThe port has two bugs: in layer 3 a norm uses eps 1e-5 where the reference has 1e-6, and the sliding\n"
        "window of layers 0, 2 and 4 lets a token see 17 tokens instead of 16. Go on with\n"
        f"  probe show {reference}\n"
        f"  probe show {port} blocks.0.attn.wo:in\n"
        f"  probe diff {reference} {port} --json\n"
        f"  probe dump {PORT} --arg bugs= --inputs {reference} -o {FOLDER}/demo-clean.h5\n"
        f"  probe diff {reference} {FOLDER}/demo-clean.h5",
        quiet=args.quiet,
    )
    return False
