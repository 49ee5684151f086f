"""`make zoo`: planted bugs, benign differences and several bugs at once, judged; what was missed, in one line each.

Thresholds were chosen on the part "seen"; "aside" was looked at afterwards.
"""

import argparse
from pathlib import Path

from tests.sweeping import sweep
from tests.zoo.draw import PARTS
from tests.zoo.misses import line
from tests.zoo.plan import planned
from tests.zoo.runs import quiet, run
from tests.zoo.table import print_tables


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("--only", default="", help="causes, views or styles that have this in their name")
    parser.add_argument("--part", choices=[*PARTS, "both"], default="both")
    parser.add_argument("--dtype", default="", help="of the candidate")
    parser.add_argument("--limit", type=int, help="so many pairs of each part")
    parser.add_argument("--seed", type=int, default=0, help="draw other pairs")
    parser.add_argument("--json", type=Path, help="write every outcome here")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    quiet()
    parts = list(PARTS) if options.part == "both" else [options.part]
    pairs = []
    for part in parts:
        fitting = [
            one for one in planned(part, options.seed) if options.only in one.said and options.dtype in one.dtype
        ]
        pairs += fitting[: options.limit]
    sweep(pairs, run, quiet, line, print_tables, options.processes, options.json)


if __name__ == "__main__":
    main()
