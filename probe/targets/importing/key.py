"""What an array's key says that it is: a tap of some step, something that the model was fed, or a weight."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from probe.errors import ProbeError
from probe.tap import tap_name

LONGEST = 512
"""Characters of a name: every row of a dump's table is as wide as the longest."""

_STEP = re.compile(r"(?:step|iteration)[_-]?(\d{1,9})", re.IGNORECASE | re.ASCII)
_STEP_BEHIND = re.compile(r"(?P<name>.+)-step_?(?P<step>\d{1,9})", re.ASCII)
_NUMBERED = re.compile(r"(?P<order>\d{1,9})[_-](?P<name>.+)", re.ASCII)
_CALLED = re.compile(r"(?P<module>.*)@(?P<call>\d{1,9})", re.ASCII)
_PORT = re.compile(r"(?:in|out)(?:\.[^:\s]+)*")
_FUNCTION = re.compile(r"@(?P<function>[^.@]+)(?:\.\d+)?$")


class Role(StrEnum):
    TAP = "tap"
    INPUT = "inputs"
    WEIGHT = "weights"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was understood."""

    text: str
    """As it was found."""
    role: Role
    name: str
    """Of a tap its module; of an input or a weight its name."""
    step: int = 0
    order: int | None = None
    """Its number in the order of execution; None where it has none."""
    call: int = 0
    port: str = "out"

    @property
    def tap(self) -> str:
        """What it is called in a dump."""
        return tap_name(self.name, self.call, self.port) if self.role is Role.TAP else self.name

    @property
    def kind(self) -> str:
        """Of a functional tap, the function's name; nothing tells the class of a module."""
        found = _FUNCTION.search(self.name)
        return found["function"] if found else ""

    def as_input(self, name: str) -> "Key":
        return replace(self, role=Role.INPUT, name=name, order=None, call=0, port="out")


def is_step(part: str) -> bool:
    """Whether a part of a path says of which step what lies below it is."""
    return _STEP.fullmatch(part) is not None


def parsed(text: str) -> Key:
    """ProbeError for a key that names nothing."""
    if len(text) > LONGEST or not text.isprintable():
        shown = text[:60] + "..." if len(text) > 60 else text
        raise ProbeError(f"{shown!r} is no name of an array: it is too long, or no text", hint="give it another name")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise ProbeError(f"an array is called {text!r}, which names nothing", hint="as model.layers.0.mlp:out")
    role, step = Role.TAP, None
    while len(parts) > 1:
        of_step = _STEP.fullmatch(parts[0])
        if of_step and step is None:
            step = int(of_step[1])
        elif parts[0] in (Role.INPUT, Role.WEIGHT) and role is Role.TAP:
            role = Role(parts[0])
        else:
            break
        del parts[0]
    behind = _STEP_BEHIND.fullmatch(parts[-1])
    if behind and step is None:
        parts[-1], step = behind["name"], int(behind["step"])
    if role is not Role.TAP:
        return Key(text, role, ".".join(parts), step or 0)
    numbered = _NUMBERED.fullmatch(parts[-1])
    if numbered:
        parts[-1] = numbered["name"]
    return _tap(text, ".".join(parts), step or 0, int(numbered["order"]) if numbered else None)


def _tap(text: str, name: str, step: int, order: int | None) -> Key:
    place, colon, port = name.rpartition(":")
    if not colon:
        place, port = name, "out"
    elif not _PORT.fullmatch(port):
        raise ProbeError(
            f"{text!r} ends in {port!r}, which is no port", hint="after the colon stand in, in.1, in.mask, out, out.1"
        )
    called = _CALLED.fullmatch(place)
    module, call = (called["module"], int(called["call"])) if called else (place, 0)
    return Key(text, Role.TAP, module, step, order, call, port)
