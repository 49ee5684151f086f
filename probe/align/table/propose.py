"""The whole of `probe map`: what inference finds of two dumps, as the text of a table."""

from dataclasses import dataclass, replace

from probe.align.mapping import Mapping
from probe.align.modules import match_modules
from probe.align.pairs import pair_taps
from probe.align.table.agreement import Agreement
from probe.align.table.apply import Applied, merged
from probe.align.table.proposal import Proposal, proposals
from probe.align.table.sides import place
from probe.align.table.write import head, is_asked, proposed, rows_text, unmatched_text
from probe.dump import Dump


@dataclass(frozen=True, slots=True)
class Inference:
    """What was found of two dumps, and the rows that say so."""

    mapping: Mapping
    rows: list[Proposal]

    @property
    def num_asked(self) -> int:
        return sum(is_asked(one) for one in self.rows)


def infer(reference: Dump, candidate: Dump) -> Inference:
    """All rows, folded."""
    matches, remarks = match_modules(reference, candidate)
    mapping = pair_taps(reference, candidate, matches, tuple(remarks))
    found = proposals(matches, mapping, reference, candidate)
    return Inference(mapping, proposed(with_agreement(found, reference, candidate), reference.taps))


def table_text(inference: Inference, reference: Dump, candidate: Dump) -> str:
    mapping = inference.mapping
    rows = rows_text(inference.rows)
    unmatched = unmatched_text(mapping.reference_only, mapping.candidate_only)
    return head(reference.path, candidate.path) + rows + unmatched


def lacking_rows(applied: Applied, reference: Dump, candidate: Dump) -> list[Proposal]:
    """Rows for what a table does not speak of, one a module: not folded, and without what its rows speak against."""
    matches, remarks = match_modules(reference, candidate)
    inferred = pair_taps(reference, candidate, matches, tuple(remarks))
    lacking = [tap for tap in reference.taps if (tap.step, tap.name) not in applied.governed]
    found = proposals(matches, merged(applied, inferred, reference, candidate), reference, candidate, lacking)
    return with_agreement(found, reference, candidate)


def with_agreement(rows: list[Proposal], reference: Dump, candidate: Dump) -> list[Proposal]:
    """With the count of weight rows beside those that weights speak for."""
    agreement = Agreement(reference, candidate)
    counted = []
    for one in rows:
        if ":" not in one.row.reference:
            agreeing, total = agreement.count(one.row.reference, [_part(text) for text in one.row.candidates])
            one = replace(one, agreeing=agreeing, total=total)
        counted.append(one)
    return counted


def _part(text: str) -> tuple[str, tuple[tuple[int, int], ...] | None]:
    where = place(text)
    if where.ranges is None:
        return where.module, None
    cuts = [cut.split(":") for cut in where.ranges.split(",")]
    return where.module, tuple((int(start), int(stop)) for start, stop in cuts)
