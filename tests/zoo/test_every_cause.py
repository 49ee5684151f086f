"""Each cause, planted: named with what the reference has and what the candidate has; and the same pair without it."""

from collections import defaultdict
from pathlib import Path

import pytest

from probe.diagnose.causes import CAUSES
from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.bug import Bug
from tests.zoo.bugs import BUGS, bug_named
from tests.zoo.judge import judge
from tests.zoo.pairs import pair
from tests.zoo.ported import styles_of

AFTER_THE_PROMPT = {"cache.position", "cache.stale", "cache.dtype"}
"""Seen in decoding alone."""
HONEST = {"precision.compute", "precision.accumulate", "precision.storage"}
"""No bugs: see tests/diagnose/test_precision.py."""
NARROW_ANYWAY = {"embed.rounding"}
"""In bf16 the reference rounds its scale too."""
CHOSEN = {"norm.eps": "eps of all norms", "attn.window": "window lost", "residual.scale": "MLP's branch scaled"}
"""What the narrow dtype shows in a few tokens, where the first of a cause's bugs is too small for it."""


def bugs_of(dtype: str) -> dict[str, Bug]:
    """One a cause."""
    fitting: dict[str, list[Bug]] = defaultdict(list)
    for bug in BUGS:
        if dtype in bug.dtypes:
            fitting[bug.cause].append(bug)
    first = {cause: bugs[0] for cause, bugs in fitting.items()}
    return first | ({cause: bug_named(name) for cause, name in CHOSEN.items()} if dtype == "bf16" else {})


def test_every_cause_is_planted_somewhere():
    assert set(bugs_of("fp32")) == CAUSES - AFTER_THE_PROMPT - HONEST
    assert set(bugs_of("bf16")) == CAUSES - AFTER_THE_PROMPT - HONEST - NARROW_ANYWAY


@pytest.mark.parametrize(
    ("dtype", "cause"), [(dtype, cause) for dtype in ("fp32", "bf16") for cause in sorted(bugs_of(dtype))]
)
def test_it_is_named(tmp_path: Path, dtype: str, cause: str):
    bug = bugs_of(dtype)[cause]
    scope = "all" if bug.scope == "layers" else ""
    view = bug.fits[0]
    both = pair(bug, view, "seen", 21, style=styles_of(bug, view)[0], dtype=dtype, scope=scope)
    outcome = judge(both, bug.name, "seen", tmp_path)
    assert not outcome.trouble
    assert outcome.verdict == Verdict.DIVERGED
    assert outcome.named == (True,), outcome.findings
    assert not outcome.wrong
    message = outcome.messages[next(n for n, one in enumerate(outcome.findings) if one.startswith(bug.causes))]
    assert len(message) > len("where the reference has 1"), "a message says what to look for"


VIEWS = sorted({(dtype, bug.fits[0]) for dtype in ("fp32", "bf16") for bug in bugs_of(dtype).values()})


@pytest.mark.parametrize(("dtype", "view"), VIEWS)
def test_without_it_nothing_is_named(compare: Compare, dtype: str, view: str):
    both = pair([], view, "seen", 21, dtype=dtype)
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert report.verdict in (Verdict.NOISE, Verdict.IDENTICAL)
    assert all(one.is_honest for one in report.findings)
