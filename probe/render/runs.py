"""What two dumps tell of their runs: on what each ran, side by side, and the command that recorded it."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.dump import Dump
from probe.errors import ProbeError
from probe.render.listing import origin
from probe.render.steps import steps_in_words

PROGRAMS, RECORDERS = ("probe", "__main__.py"), ("dump", "demo", "selftest")
"""What a command begins with that records: as it is installed and as `python -m probe`; and its first word."""
CONFIG = "config."
"""What the names of settings from a model's config begin with."""


@dataclass(frozen=True, slots=True)
class Run:
    """One side."""

    path: str
    facts: dict[str, str] = field(default_factory=dict)
    """By their names, nested ones with dots; empty where the dump cannot be read."""
    command: str = ""
    """That recorded it, as a shell takes it; "" where probe was not started by one."""
    recorded: str = ""
    """The same in words, where no command is known."""
    missing: str = ""
    """Why nothing is known of it; "" where something is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the two runs side by side."""

    name: str
    reference: str
    candidate: str
    """"" where a side does not tell."""

    @property
    def differs(self) -> bool:
        """Whether both tell, and not the same."""
        return self.is_told_twice and self.reference != self.candidate

    @property
    def is_told_twice(self) -> bool:
        return bool(self.reference and self.candidate)


def run_of(path: Path) -> Run:
    """What is known of the run that wrote `path`, which may have gone since it was compared."""
    try:
        with Dump(path) as dump:
            return _told(dump)
    except ProbeError as error:
        return Run(str(path), missing=str(error))
    except RecursionError:
        return Run(str(path), missing=f"{path} has settings within settings without an end")


def side_by_side(reference: Run, candidate: Run) -> tuple[Setting, ...]:
    """All that either tells, in the reference's order."""
    names = dict.fromkeys((*reference.facts, *candidate.facts))
    return tuple(Setting(name, reference.facts.get(name, ""), candidate.facts.get(name, "")) for name in names)


def _told(dump: Dump) -> Run:
    environment = dict(dump.environment)
    words = environment.pop("command", None)
    fed = (f"{name} {list(bits.shape)} {dtype}" for name, (bits, dtype) in dump.inputs().items())
    steps = f" in {len(dump.steps)} steps" + (f" ({told})" if (told := steps_in_words(dump)) else "")
    extent = f"{len(dump.taps)} taps{steps if len(dump.steps) > 1 else ''}, {len(dump.weights)} weights"
    facts = {"model": origin(dump), "fed": ", ".join(fed), "holds": extent, "kept": dump.detail.words}
    if not dump.complete:
        facts["unfinished"] = "the run that wrote this was cut short"
    versions = environment.pop("versions", {})
    facts |= dict(_flat("", {**environment, "versions": versions}))
    facts |= dict(_flat(CONFIG, dump.attribute("config") or {}))
    facts = {name: without_folders(told) for name, told in facts.items() if told}
    command, recorded = _recorded(words, dump)
    return Run(str(dump.path), facts, command, without_folders(recorded))


def without_folders(text: str) -> str:
    """Absolute paths by their last part: a report is sent to others, whom nobody's home folder concerns."""
    return re.sub(r"(?:^|(?<=[\s:='\"]))/(?!/)(?:[^\s/:'\"]+/)*", "", text)


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested settings by dotted names; what is not set is not told."""
    for name, child in value.items() if isinstance(value, dict) else ():
        if isinstance(child, dict):
            yield from _flat(f"{prefix}{name}.", child)
        elif child is not None:
            yield f"{prefix}{name}", child if isinstance(child, str) else json.dumps(child)


def _recorded(words: Any, dump: Dump) -> tuple[str, str]:
    """The command, and what is said where there is none. A target is in dumps alone that probe's commands record."""
    if isinstance(dump.environment.get("imported"), dict):
        return "", origin(dump)
    is_told = isinstance(words, list) and len(words) > 1 and all(isinstance(word, str) for word in words)
    if not isinstance(dump.attribute("target"), dict):
        return "", "from Python, with probe.record" + (f", by: {shlex.join(words)}" if is_told else "")
    if is_told and words[0] in PROGRAMS and words[1] in RECORDERS:
        return shlex.join(["probe", *words[1:]]), ""
    return "", f"{origin(dump)}; the command is not in the dump"
