"""Say what is in a dump: its run, its taps, or one tap's numbers.

A list has a line a tap, in order of execution: name, shape, dtype, least and largest number, mean, standard deviation.

examples:
  probe show ref.h5
  probe show ref.h5 model.layers.0.mlp:out
  probe show ref.h5 model.layers.0.mlp:out --step 3
  probe show ref.h5 --json

exit codes: 0 shown, 2 no such file or tap
"""

import argparse
from typing import TYPE_CHECKING

from probe.commands.arguments import file

if TYPE_CHECKING:
    from probe.dump import Dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dump", type=file, metavar="FILE", help="a dump")
    parser.add_argument("tap", nargs="?", metavar="TAP", help="a tap's name, as the list shows it")
    parser.add_argument("--step", type=int, metavar="K", help="TAP in the model's K-th call (default 0)")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(args: argparse.Namespace) -> bool:
    from probe.dump import Dump
    from probe.errors import ProbeError

    if args.step is not None and args.tap is None:
        raise ProbeError("--step has no effect without TAP", hint=f"probe show {args.dump} TAP --step {args.step}")
    with Dump(args.dump) as dump:
        tap = dump.tap(*_place(dump, args.tap, args.step)) if args.tap is not None else None
        if args.json:
            from probe.render.contents import contents, one_tap
            from probe.render.json import print_json

            print_json(one_tap(dump, tap) if tap else contents(dump))
        else:
            from probe.render.listing import print_contents, print_tap

            print_tap(dump, tap) if tap else print_contents(dump)
    return False


def _place(dump: "Dump", name: str, step: int | None) -> tuple[str, int]:
    """A tap's name and step; the list of a dump of several steps shows `3/model.norm:out`."""
    number, slash, rest = name.partition("/")
    if step is None and slash and number.isdecimal() and int(number) in dump.steps:
        return rest, int(number)
    return name, step or 0
