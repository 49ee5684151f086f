"""The weight audit: what the candidate has in each reference weight's place. It reads no matrix, and runs no model.

places        where each weight should be, by the mapping
sketched      a weight as vectors, and how far those of two sides are apart
beside        all weights beside their places; what one weight is beside another: matrices, judged, vectors, comparison
search        whose values these are, and where a weight's own are: lookup, nearest
judge         a verdict a weight; astray has those of what is not in its place
consistency   like weights are converted alike; likeness says which are
crossing      swaps that are the same in all layers
findings      verdicts, grouped; words says what was done
"""

from probe.align.audit.consistency import inconsistent
from probe.align.audit.crossing import crossed
from probe.align.audit.findings import findings
from probe.align.audit.judge import judge
from probe.align.audit.leftovers import extra, missing
from probe.align.audit.likeness import Likeness
from probe.align.audit.places import places
from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import WeightFinding

__all__ = ["audit"]


def audit(reference: Dump, candidate: Dump, mapping: Mapping) -> tuple[WeightFinding, ...]:
    """What became of every weight of `reference`; findings that are no honest conversion come first."""
    where = places(reference, candidate, mapping)
    verdicts, claimed = judge(reference, candidate, where)
    verdicts = inconsistent(verdicts, Likeness(reference, candidate))
    verdicts = crossed(verdicts, reference, candidate)
    unclaimed = [w for w in candidate.weights if (w.tied_to or w.name) not in claimed]
    verdicts = missing(verdicts, reference, unclaimed)
    return findings([*verdicts, *extra(verdicts, unclaimed)])
