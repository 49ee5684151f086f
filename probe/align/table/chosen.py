"""The shipped table that fits two dumps by itself: of runtimes whose names are the same for a whole architecture."""

from pathlib import Path

from probe.align.mapping import Mapping
from probe.align.table.apply import pairs_of_table
from probe.align.table.merge import merged
from probe.align.table.read import read_table
from probe.align.table.shipped import shipped_names
from probe.dump import Dump


def with_fitting_table(mapping: Mapping, reference: Dump, candidate: Dump) -> tuple[Mapping, str]:
    """`mapping` with the rows of the table of the candidate's runtime and architecture, and that name; as it is, and
    "", where there is none or one of its rows does not fit."""
    name = _name(candidate)
    if name not in shipped_names():
        return mapping, ""
    applied = pairs_of_table(read_table(Path(name)), reference, candidate)
    if applied.problems:
        return mapping, ""
    return merged(applied, mapping, reference, candidate), name


def _name(candidate: Dump) -> str:
    """As `gguf-llama`."""
    target, config = candidate.attribute("target"), candidate.attribute("config")
    if not isinstance(target, dict) or not isinstance(config, dict):
        return ""
    return f"{target.get('kind')}-{config.get('general.architecture')}"
