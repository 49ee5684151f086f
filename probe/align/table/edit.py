"""A hand-made table, and what it lacks: rows are added at its end, and not one byte of it is changed."""

from dataclasses import dataclass
from typing import Any

from probe.align.table.apply import pairs_of_table
from probe.align.table.proposal import Proposal
from probe.align.table.propose import lacking_rows
from probe.align.table.read import parse_table
from probe.align.table.write import proposed, quoted, rows_text
from probe.dump import Dump


@dataclass(frozen=True, slots=True)
class Edited:
    """A table's new text, and the rows that were added to it."""

    text: str
    added: list[Proposal]


def edited(text: str, name: str, reference: Dump, candidate: Dump) -> Edited:
    """ProbeError where the table does not fit the two dumps as it is."""
    table = parse_table(text, name)
    applied = pairs_of_table(table, reference, candidate)
    for problem in applied.problems:
        raise table.error(problem)
    rows = lacking_rows(applied, reference, candidate)
    for added in (proposed(rows, reference.module_taps), rows):
        new = [one for one in added if not _stands_commented_out(one, text)]
        whole = _with_rows(text, new)
        # A template may meet a hand-made row that is as specific as itself; rows of single modules do not.
        if not pairs_of_table(parse_table(whole, name), reference, candidate).problems:
            return Edited(whole, new)
    return Edited(text, [])


def _stands_commented_out(one: Proposal, text: str) -> bool:
    """A question that was put before, or a row that the user has put aside."""
    wanted = f"reference = {quoted(one.row.reference)}"
    return any(line.lstrip("# \t").rstrip() == wanted for line in text.splitlines() if line.lstrip().startswith("#"))


def _with_rows(text: str, rows: list[Proposal]) -> str:
    import tomlkit
    from tomlkit.items import AoT

    if not rows:
        return text
    document = tomlkit.parse(text)
    pairs: Any = document.get("pair")
    if pairs is None or isinstance(pairs, AoT):
        added = rows_text(rows)
        line_end = "\r\n" if "\r\n" in text else "\n"
        begin = "" if not text or text.endswith("\n") else line_end
        return text + begin + added.replace("\n", line_end)
    for one in rows:  # pair = [{...}, ...]: rows of one list, which [[pair]] must not follow
        pairs.append(_inline(one))
    return tomlkit.dumps(document)


def _inline(one: Proposal) -> Any:
    import tomlkit

    row = tomlkit.inline_table()
    row["reference"] = one.row.reference
    row["candidate"] = one.row.candidates[0] if len(one.row.candidates) == 1 else list(one.row.candidates)
    if one.row.layout is not None:
        row["layout"] = one.row.layout
    if not one.row.firm:
        row["firm"] = False
    return row
