"""A mapping table's check as text, and proposed rows as JSON."""

from typing import Any

from rich.table import Table
from rich.text import Text

from probe.align.table.check import TableCheck
from probe.align.table.proposal import Proposal
from probe.align.table.write import is_asked, why
from probe.printable import printable
from probe.render.console import console, prose


def print_check(found: TableCheck) -> None:
    out = console()
    verdict = f"{len(found.problems)} problem{'' if len(found.problems) == 1 else 's'}" if found.problems else "fits"
    style = "bold red" if found.problems else "bold green"
    out.print(Text(f" {printable(found.table)}: {verdict}", style=style))
    for problem in found.problems:
        where = f"{printable(problem.row)}: " if problem.row else ""
        prose(out, Text(where + printable(problem.message), style="red"), "problem")
        prose(out, Text(printable(problem.hint)), "hint")
    out.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("row", overflow="fold")
    for title in ("places", "taps"):
        table.add_column(title, justify="right")
    for row in found.rows:
        table.add_row(Text(printable(row.row)), str(row.num_places), str(row.num_taps))
    out.print(table)
    out.print()
    prose(out, Text(f"{found.num_pairs} pairs of taps, {len(found.skipped)} taps skipped"), "compared")
    for side, taps in (("reference", found.reference_only), ("candidate", found.candidate_only)):
        if taps:
            names = ", ".join(printable(name) for name in taps[:3]) + (", ..." if len(taps) > 3 else "")
            prose(out, Text(f"{len(taps)} {side} taps are in no row: {names}"), " ")


def row_of(one: Proposal) -> dict[str, Any]:
    """One proposed row, as --json prints it."""
    row = one.row
    return {
        "reference": row.reference,
        "candidate": list(row.candidates),
        "layout": row.layout,
        "firm": row.firm,
        "confidence": one.confidence,
        "asked": is_asked(one),
        "places": one.num_folded,
        "reason": why(one),
    }
