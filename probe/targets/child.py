"""Runs a runtime and writes its dump; in a process of its own, which takes the runtime's crashes with it.

`python -m probe.targets.child MODULE`: a Job comes in on stdin, as JSON, and is given to MODULE.play; what is told goes
out on stdout, a line of JSON each.
"""

import importlib
import json
import os
import sys

from probe.errors import ProbeError
from probe.targets.apart import Refused
from probe.targets.runtime import Job


def main() -> int:
    """What is told: `progress`, and in the end `notes` or `error`."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what native code prints is talk

    def tell(**what: object) -> None:
        print(json.dumps(what), file=told, flush=True)

    try:
        job = Job.of_json(sys.stdin.read())
        play = importlib.import_module(sys.argv[1]).play
        tell(notes=play(job, lambda *what: tell(progress=what)))
    except ProbeError as error:
        tell(error=str(error), hint=error.hint, is_native=isinstance(error, Refused))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
