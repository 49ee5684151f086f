"""`python -m tests.converted`: conversions to GGUF, honest ones and with bugs, each run by llama.cpp and judged.

Thresholds were chosen on seeds below 10.
"""

import argparse
from pathlib import Path

from tests.converted.plants import EVERY
from tests.converted.sweep import KINDS, PLANTED_KINDS, honest, planted, quiet, run
from tests.converted.tables import line, print_tables
from tests.sweeping import sweep


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.converted", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("honest", "bugs", "both"), default="both")
    parser.add_argument("--models", default=",".join(EVERY))
    parser.add_argument("--kinds", default="", help="of GGUF; all if left out, of bugs five")
    parser.add_argument("--widths", default="64,256")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", default="", help="bugs that have this in their name")
    parser.add_argument("--json", type=Path, help="write every outcome here")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    models, kinds = options.models.split(","), options.kinds.split(",") if options.kinds else None
    widths, seeds = ([int(one) for one in text.split(",")] for text in (options.widths, options.seeds))
    pairs = honest(models, kinds or KINDS, widths, seeds) if options.what != "bugs" else []
    if options.what != "honest":
        bugs = planted(models, kinds or PLANTED_KINDS, widths, seeds)
        pairs += [pair for pair in bugs if options.only in pair.plant]
    sweep(pairs, run, quiet, line, print_tables, options.processes, options.json)


if __name__ == "__main__":
    main()
