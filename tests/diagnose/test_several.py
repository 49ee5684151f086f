"""Two causes at one place: the second is looked for in what the first leaves."""

import pytest

from tests.conftest import Compare
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

TOGETHER = [
    (("second half counted from zero", "heads rolled before o_proj"), "phi3", "fp32"),
    (("second half counted from zero", "heads rolled before o_proj"), "mistral", "bf16"),
    (("scale of another head size", "rotated twice"), "llama", "fp16"),
]


@pytest.mark.parametrize(("names", "view", "dtype"), TOGETHER)
def test_two_bugs_of_one_attention_are_two_findings(compare: Compare, names: tuple[str, str], view: str, dtype: str):
    """Where positions begin anew is the first token that is wrong, and heads in another order make all tokens wrong."""
    bugs = [bug_named(name) for name in names]
    planted = pair(bugs, view, seed=3, dtype=dtype, scope="layer", same_layer=True)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    findings = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert sorted(one.cause for one in findings) == sorted(bug.cause for bug in bugs)
    assert all(one.module in planted.places[0] for one in findings)
    assert report.explained > 0.9
