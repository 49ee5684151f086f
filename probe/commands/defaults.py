"""Defaults of options, from [tool.probe] in pyproject.toml: `[tool.probe.dump] dtype = "fp32"`.

The file is that of the working directory, or of the nearest folder above it that has such a table. Keys are long names
of options; what is on the command line wins; a path is relative to the file. It may lie in a folder that someone sent,
so it cannot name what is run or written, nor pass over a check: see probe.commands.settable.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from probe.commands.arguments import file
from probe.commands.settable import REFUSED, SETTABLE, outdone
from probe.errors import ProbeError
from probe.render.progress import say

if TYPE_CHECKING:
    from pathlib import Path


LARGEST = 1_000_000
"""Bytes of a file that is read; one that is larger has been put there to be waited for."""


def add_defaults(args: argparse.Namespace, parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Set in `args`, which `parser` made of `words`, what nobody typed and the file says. ProbeError: what is wrong."""
    found = _nearest()
    if found is None:
        return
    path, table = found
    commands = next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    if unknown := [key for key, value in table.items() if isinstance(value, dict) and key not in commands]:
        raise ProbeError(f"{path}: [tool.probe.{unknown[0]}] is no command", hint=f"commands: {', '.join(commands)}")
    command = commands[args.command]
    above = {key: value for key, value in table.items() if not isinstance(value, dict)}
    given = list(_checked(above, _options(commands["env"]), path, "tool.probe"))
    given += _checked(table.get(args.command, {}), _options(command), path, f"tool.probe.{args.command}")
    command.set_defaults(**{action.dest: None for action, _ in given})
    typed = parser.parse_args(words)  # what nobody typed is None there
    taken = {action: value for action, value in given if getattr(typed, action.dest) is None}
    taken = {action: value for action, value in taken.items() if not outdone(action.dest, typed)}
    for action, value in taken.items():
        setattr(args, action.dest, value)
    told = ", ".join(dict.fromkeys(action.option_strings[-1] for action, value in taken.items() if value is not False))
    if told:
        say(f"note: {path} sets {told}", quiet=args.quiet)


def _nearest() -> "tuple[Path, dict[str, Any]] | None":
    """The file, and its [tool.probe]. What does not have the word in it is not parsed."""
    from pathlib import Path

    try:
        here = Path.cwd()
    except OSError:  # a folder that is gone
        return None
    for folder in (here, *here.parents):
        path = folder / "pyproject.toml"
        try:
            text = _read(path) if path.is_file() else b""
        except OSError:  # not ours to read, and so none of ours
            continue
        table = _table(path, text) if b"probe" in text else None
        if table is not None:
            return path, table
    return None


def _read(path: "Path") -> bytes:
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ProbeError(f"{path} is larger than {LARGEST:,} bytes", hint="it is read for [tool.probe]: mend it there")
    return text


def _table(path: "Path", text: bytes) -> dict[str, Any] | None:
    import tomllib

    try:
        tool = tomllib.loads(text.decode()).get("tool")
    except (ValueError, RecursionError) as error:
        raise ProbeError(
            f"{path} is no TOML: {str(error).splitlines()[0]}", hint="it is read for [tool.probe]: mend it there"
        ) from None
    table = tool.get("probe") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    raise ProbeError(f"{path}: tool.probe is no table", hint="[tool.probe] holds keys, [tool.probe.dump] a command's")


def _options(command: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """By their long names."""
    return {name[2:]: action for action in command._actions for name in action.option_strings if name.startswith("--")}


def _checked(
    table: dict[str, Any], options: dict[str, argparse.Action], path: "Path", name: str
) -> Iterator[tuple[argparse.Action, Any]]:
    """Each option with its value, as the command line would give it."""
    there = sorted(options.keys() & SETTABLE)
    for key, value in table.items():
        where = f"{path}: [{name}] {key}"
        if key in REFUSED:
            raise ProbeError(
                f"{where} may not stand in a file: it {REFUSED[key]}", hint="say it on the command line, each time"
            )
        if key not in there:
            raise ProbeError(
                f"{where} is no option that a file can set",
                hint=f"there are: {', '.join(there)}; those of a command stand in [tool.probe.COMMAND]",
            )
        yield options[key], _value(options[key], value, path.parent, where)


def _value(option: argparse.Action, value: Any, folder: "Path", where: str) -> Any:
    if isinstance(option, argparse._AppendAction):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return list(value)
        raise ProbeError(f"{where} is no list of texts", hint=f'{where.rpartition(" ")[2]} = ["...", "..."]')
    kind = bool if option.nargs == 0 else int if option.type is int else str
    if type(value) is not kind:
        form = {bool: "true or false", int: "a whole number", str: "a text"}[kind]
        raise ProbeError(f"{where} is not {form}", hint=f"what it is for: {option.help}")
    if option.choices is not None and value not in option.choices:
        raise ProbeError(f"{where} is not known", hint=f"one of {', '.join(map(str, option.choices))}")
    if option.type is file:  # and so a text
        value = str(value)
        return folder / value if file(value).suffix else file(value)  # without: a table that comes with probe
    return value
