"""Say what is in a dump: its run, its taps, or one tap's numbers.

examples:
  probe show ref.h5
  probe show ref.h5 model.layers.0.mlp:out
  probe show ref.h5 --json
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dump", type=Path, metavar="FILE", help="a dump")
    parser.add_argument("tap", nargs="?", metavar="TAP", help="a tap's name, as the list shows it")
    parser.add_argument("--step", type=int, default=0, metavar="K", help="the model's K-th call (default 0)")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(args: argparse.Namespace) -> bool:
    from probe.dump import Dump
    from probe.render.contents import contents, one_tap, print_contents, print_tap
    from probe.render.text import print_json

    with Dump(args.dump) as dump:
        if args.tap is None:
            print_json(contents(dump)) if args.json else print_contents(dump)
        else:
            tap = dump.tap(args.tap, args.step)
            print_json(one_tap(dump, tap)) if args.json else print_tap(dump, tap)
    return False
