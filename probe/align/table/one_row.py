"""One row of a mapping table, for a hand to change: what it is for a pair as it stands, and its place in a table."""

from typing import Any

from probe.align.mapping import Pair
from probe.align.table.proposal import Proposal, tap_row
from probe.align.table.write import toml
from probe.errors import ProbeError


def row_text(pair: Pair) -> str:
    """The [[pair]] that makes this pair, as TOML. ProbeError where no table can hold its names."""
    row = tap_row(pair, 1)
    if row is None:
        raise ProbeError(
            f"{pair.reference.name!r} cannot stand in a table", hint="its name has braces, brackets or colons"
        )
    text = toml(Proposal(row, (pair.reason,), 1.0))
    text += f"scale = {pair.layout.scale!r}\n" if pair.layout.scale != 1.0 else ""
    return text + (f"offset = {pair.layout.offset!r}\n" if pair.layout.offset else "")


def with_row(text: str, row: str) -> str:
    """A table's text with this [[pair]] in the place of the one of the same reference, or else at its end. What else is
    there stays as it is, comments too."""
    import tomlkit

    document = tomlkit.parse(text)
    added: Any = tomlkit.parse(row)["pair"]
    pairs: Any = document.get("pair")
    if pairs is None:
        begin = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{begin}\n{row}" if text.strip() else row
    for new in added:
        same = next((one for one in pairs if one.get("reference") == new["reference"]), None)
        if same is None:
            pairs.append(new)
            continue
        for key in [key for key in same if key not in new]:
            del same[key]
        for key, value in new.items():
            same[key] = value
    return tomlkit.dumps(document)
