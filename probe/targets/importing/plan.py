"""Which array becomes what in a dump, and in which order: decided by the keys, before one number is read."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from probe.capture.selection import Selection
from probe.errors import ProbeError
from probe.targets.importing.key import Key, Role, parsed
from probe.targets.importing.source import Source

Named = tuple[Key, Source]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is imported."""

    taps: tuple[Named, ...]
    """In the order of execution."""
    inputs: tuple[Named, ...]
    weights: tuple[Named, ...]
    ordered_by: str
    """In words, what the order of the taps is taken from."""


def planned(
    found: Sequence[Source], selection: Selection, inputs: Mapping[str, str], order: Sequence[str] | None, kind: str
) -> Plan:
    """`inputs`: by the name of what the model was fed the key that has it; `order`: keys or taps, in the order of
    execution. ProbeError for what is named twice, or is not there."""
    named = _with_inputs([(parsed(source.key), source) for source in found], inputs)
    _check_patterns(selection, [key for key, _ in named if key.role is Role.TAP])
    chosen = [(key, source) for key, source in named if key.role is not Role.TAP or selection.has(key.name, key.tap)]
    _check_unique(chosen)
    roles = {role: [one for one in chosen if one[0].role is role] for role in Role}
    if not roles[Role.TAP]:
        raise ProbeError(
            f"none of {len(found)} arrays is a tap that was asked for",
            hint="see --include and --exclude; a key such as model.layers.0.mlp:out is a tap",
        )
    taps, ordered_by = _in_order(roles[Role.TAP], order, kind)
    return Plan(tuple(taps), tuple(roles[Role.INPUT]), tuple(roles[Role.WEIGHT]), ordered_by)


def _with_inputs(named: list[Named], inputs: Mapping[str, str]) -> list[Named]:
    names = {text: name for name, text in inputs.items()}
    taken: set[str] = set()

    def fed(key: Key) -> Key:
        for text in (key.text, key.tap, key.name):
            if text in names:
                taken.add(text)
                return key.as_input(names[text])
        return key

    given = [(fed(key), source) for key, source in named]
    missing = next((text for text in names if text not in taken), None)
    if missing is not None:
        few = ", ".join(key.text for key, _ in named[:3])
        raise ProbeError(f"--input {names[missing]}={missing}: no array is called so", hint=f"keys are {few}, ...")
    return given


def _check_unique(named: Iterable[Named]) -> None:
    seen: dict[tuple[Role, int, str], Named] = {}
    for key, source in named:
        place = key.role, key.step, key.tap
        first, where = seen.setdefault(place, (key, source))
        if first is not key:
            raise ProbeError(
                f"two arrays are {_described(key)}: {first.text!r} of {where.where} and {key.text!r} of {source.where}",
                hint="number the calls of a module: model.norm@1:out is its second",
            )


def _described(key: Key) -> str:
    if key.role is Role.WEIGHT:
        return f"the weight {key.name}"
    what = f"the input {key.name}" if key.role is Role.INPUT else f"the tap {key.tap}"
    return f"{what} of step {key.step}"


def _check_patterns(selection: Selection, keys: Sequence[Key]) -> None:
    for pattern in (*selection.include, *selection.exclude):
        if not any(fnmatchcase(key.name, pattern) or fnmatchcase(key.tap, pattern) for key in keys):
            few = ", ".join(key.tap for key in keys[:3])
            raise ProbeError(f"no array's name matches {pattern!r}", hint=f"taps are {few}, ...")


def _in_order(taps: list[Named], order: Sequence[str] | None, kind: str) -> tuple[list[Named], str]:
    if order is not None:
        place = {parsed(line).tap: number for number, line in reversed(list(enumerate(order)))}
        unlisted = next((key for key, _ in taps if key.tap not in place), None)
        if unlisted is not None:
            raise ProbeError(
                f"--order has no line for {unlisted.tap}",
                hint="list every array's name, or leave it out with --exclude",
            )
        return sorted(taps, key=lambda one: (one[0].step, place[one[0].tap])), "--order"
    numbers = Counter(key.order is not None for key, _ in taps)
    if numbers[True] and numbers[False]:
        key = next(key for key, _ in taps if key.order is None)
        raise ProbeError(
            f"{key.text!r} has no number in the order of execution, and {numbers[True]} other arrays have one",
            hint="number them all (0003_model.norm), or give --order FILE",
        )
    if numbers[True]:
        return sorted(taps, key=lambda one: (one[0].step, one[0].order or 0)), "their numbers"
    by = "their names" if kind == "safetensors" else "the place in the file, or their paths"
    return sorted(taps, key=lambda one: one[0].step), by


def read_order(path: Path) -> list[str]:
    """The lines of an --order file, without empty ones and those that begin with #."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'no text'}",
            hint="a text file of names, one a line, in the order of execution",
        ) from None
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise ProbeError(f"{path} has no name in it", hint="one name a line, in the order of execution")
    return found


def as_weights(found: Sequence[Source]) -> list[Named]:
    """The arrays of a file of weights, whose keys are names of parameters."""
    return [(replace(parsed(f"weights/{source.key}"), text=source.key), source) for source in found]
