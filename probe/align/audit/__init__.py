"""The weight audit: what the candidate has in each reference weight's place. It reads no matrix, and runs no model.

places        where each weight should be, by the mapping
comparison    what one weight is beside another: matrices by sketches, vectors by their values
lookup        whose values these are, by all rows of a model
judge         a verdict a weight
consistency   like weights are converted alike
crossing      swaps that are the same in all layers
findings      verdicts, grouped
"""

from probe.align.audit.consistency import Likeness, inconsistent
from probe.align.audit.crossing import crossed
from probe.align.audit.findings import findings
from probe.align.audit.judge import Judge
from probe.align.audit.leftovers import extra, missing
from probe.align.audit.places import places
from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import WeightFinding

__all__ = ["audit"]


def audit(reference: Dump, candidate: Dump, mapping: Mapping) -> tuple[WeightFinding, ...]:
    """What became of every weight of `reference`; findings that are no honest conversion come first."""
    where = places(reference, candidate, mapping)
    judge = Judge(reference, candidate, where)
    verdicts = judge.judge()
    verdicts = inconsistent(verdicts, Likeness(reference, candidate))
    verdicts = crossed(verdicts, reference, candidate)
    unclaimed = [w for w in candidate.weights if (w.tied_to or w.name) not in judge.claimed]
    verdicts = missing(verdicts, reference, unclaimed)
    return findings([*verdicts, *extra(verdicts, unclaimed)])
