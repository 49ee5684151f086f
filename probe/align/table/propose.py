"""The whole of `probe map`: what inference finds of two dumps, as the text of a table."""

import sys
from dataclasses import dataclass, replace

from probe.align.mapping import Mapping
from probe.align.pairs import align_modules
from probe.align.table.agreement import Agreement, Ranges
from probe.align.table.apply import Applied
from probe.align.table.merge import merged
from probe.align.table.proposal import Proposal, proposals, questions
from probe.align.table.sides import columns, place
from probe.align.table.sizes import Sizes
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
    matches, mapping = align_modules(reference, candidate)
    found = proposals(matches, mapping, reference, candidate)
    return Inference(
        mapping, proposed(with_agreement([*found, *questions(matches)], reference, candidate), reference.module_taps)
    )


def table_text(inference: Inference, reference: Dump, candidate: Dump) -> str:
    mapping = inference.mapping
    rows = rows_text(inference.rows)
    unmatched = unmatched_text(mapping.reference_only, mapping.candidate_only)
    return head(reference.path, candidate.path) + rows + unmatched


def lacking_rows(applied: Applied, reference: Dump, candidate: Dump) -> list[Proposal]:
    """Rows for what a table does not speak of, one a module: not folded, and without what its rows speak against."""
    matches, inferred = align_modules(reference, candidate)
    lacking = [tap for tap in reference.module_taps if (tap.step, tap.name) not in applied.governed]
    found = proposals(matches, merged(applied, inferred, reference, candidate), reference, candidate, lacking)
    modules = {tap.module for tap in lacking}
    found += [one for one in questions(matches) if one.row.reference in modules]
    return with_agreement(found, reference, candidate)


def with_agreement(rows: list[Proposal], reference: Dump, candidate: Dump) -> list[Proposal]:
    """With the count of weight rows beside those that weights speak for."""
    agreement = Agreement(reference, candidate)
    counted = []
    for one in rows:
        if ":" not in one.row.reference and not any("..." in text for text in one.row.candidates):
            agreeing, total = agreement.count(one.row.reference, [_part(text) for text in one.row.candidates])
            one = replace(one, agreeing=agreeing, total=total)
        counted.append(one)
    return counted


def _part(text: str) -> tuple[str, Ranges]:
    where = place(text)
    ranges = None if where.ranges is None else columns(where.ranges, sys.maxsize, Sizes({}, None))
    return where.module, ranges
