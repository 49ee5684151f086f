"""probe diff --weights: what became of every weight, before any activation is looked at and without a model."""

from pathlib import Path

from probe.align.audit import audit
from probe.align.pairs import align
from probe.align.table import apply_table
from probe.dump import Dump
from probe.errors import ProbeError
from probe.report import WeightFinding


def audit_weights(
    reference_path: Path | str, candidate_path: Path | str, *, table: Path | str | None = None
) -> tuple[WeightFinding, ...]:
    """The audit of two dumps, recorded with whatever runtime; ProbeError where one of them holds no weights."""
    with Dump(reference_path) as ours, Dump(candidate_path) as theirs:
        for dump in (ours, theirs):
            if not dump.weights:
                raise ProbeError(
                    f"{dump.path} holds no weights to compare",
                    hint="compare what was computed instead: leave --weights away",
                )
        mapping = align(ours, theirs)
        if table is not None:
            mapping = apply_table(Path(table), mapping, ours, theirs)
        return audit(ours, theirs, mapping)
