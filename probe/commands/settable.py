"""Which options a pyproject.toml may set, and which not: it may come with a folder that someone sent.

Nothing in it may name what is run or written, pass over a check, or change what a program reads from stdout.
"""

import argparse

SETTABLE = frozenset(
    (
        "compress",
        "device",
        "dtype",
        "exclude",
        "functional",
        "include",
        "map",
        "no-color",
        "no-replay",
        "repeat",
        "sketch",
        "stats-only",
        "tokens-slice",
    )
)
"""By long name, in every command that has one; what is neither here nor below is of one command line alone."""

_RUN = "names what is run"
_FED = "says what one run is fed"
_FORM = "chooses another form of answer"
REFUSED = {
    "target": _RUN,
    "reference": _RUN,
    "arg": "is handed to the code that is run",
    "attn": "may name a kernel that is fetched and run",
    "trust-remote-code": "lets a folder run code",
    "trust-anyway": "passes over a check",
    "force": "replaces files",
    "output": "names what is written",
    "edit": "names what is written",
    "quiet": "hides notes",
    "inputs": _FED,
    "prompt": _FED,
    "tokens": _FED,
    "tokens-file": _FED,
    "random-tokens": _FED,
    "seed": _FED,
    "decode": _FED,
    "chunk": _FED,
    "json": _FORM,
    "tui": _FORM,
    "report": "names the comparison that is shown",
}
"""And why."""

_OUTDONE = {
    "no_replay": ("reference", "trust_remote_code", "weights", "report"),
    "sketch": ("stats_only", "repeat"),
    "stats_only": ("sketch", "repeat", "compress"),
    "compress": ("stats_only",),
    "tokens_slice": ("repeat",),
    "repeat": ("sketch", "stats_only", "tokens_slice"),
}
"""What is left away where one of these was typed, since the two do not go together."""
_OF_PYTORCH = ("device", "dtype", "functional", "repeat")


def outdone(option: str, typed: argparse.Namespace) -> bool:
    """Whether a default has no place beside what was typed, whose options without a default are None or False."""
    if option in _OF_PYTORCH and hasattr(typed, "target"):
        from probe.targets.target import RUNTIMES

        if typed.target.partition(":")[0] in RUNTIMES:
            return True
    if option in ("map", "no_replay") and getattr(typed, "candidate_dump", True) is None:
        return True
    if option == "no_replay" and getattr(typed, "kind", "depth") not in ("depth", "ledger"):
        return True
    return any(getattr(typed, other, None) for other in _OUTDONE.get(option, ()))
