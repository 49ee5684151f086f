"""The shipped table that fits two dumps by itself: of runtimes whose names are the same for a whole architecture."""

from pathlib import Path

from probe.align.mapping import Mapping
from probe.align.table.apply import pairs_of_table
from probe.align.table.merge import merged
from probe.align.table.read import read_table
from probe.align.table.shipped import shipped_names
from probe.align.table.turned import turned
from probe.dump import Dump


def with_fitting_table(mapping: Mapping, reference: Dump, candidate: Dump) -> tuple[Mapping, str]:
    """`mapping` with the rows of the table of one side's runtime and architecture, and that name; as it is, and "",
    where there is none or one of its rows does not fit. Two runs of one runtime have the same names."""
    ours, theirs = _name(reference), _name(candidate)
    if _kind(reference) == _kind(candidate):
        return mapping, ""
    for name, is_turned in ((theirs, False), (ours, True)):
        if name not in shipped_names():
            continue
        sides = (candidate, reference) if is_turned else (reference, candidate)
        applied = pairs_of_table(read_table(Path(name)), *sides)
        if not applied.problems:
            return merged(turned(applied) if is_turned else applied, mapping, reference, candidate), name
    return mapping, ""


def _name(dump: Dump) -> str:
    """As `gguf-llama`."""
    config = dump.attribute("config")
    return f"{_kind(dump)}-{config.get('general.architecture')}" if isinstance(config, dict) else ""


def _kind(dump: Dump) -> str:
    """Of its target: "hf", "gguf"; "" where it has none, as of a model that was recorded from Python."""
    target = dump.attribute("target")
    return str(target.get("kind")) if isinstance(target, dict) else ""
