"""What was not tried at a place, in words: a span may be too long for all that could be wrong in it."""

from collections import Counter

from probe.diagnose.case import Case
from probe.diagnose.search import Searched


def not_tried(case: Case, searched: Searched) -> str:
    """Of a place whose allowance is spent."""
    start, end = case.error.span_start or "the inputs", case.error.pair.reference.name
    families = Counter(one.cause.partition(".")[0] for one in searched.untried)
    what = (
        f"{len(searched.untried)} of {searched.num} hypotheses ({', '.join(sorted(families))})"
        if families
        else "several causes at once"
    )
    many = "" if families else " to the end"
    were = "was" if len(searched.untried) == 1 else "were"
    return (
        f"between {start} and {end} {what} {were} not tried{many}: a span of {case.num_modules} modules is too long; "
        "record more of what lies between"
    )
