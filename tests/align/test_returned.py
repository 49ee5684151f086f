"""What the model itself returns is judged, whatever else agrees: nothing follows it that could speak for it."""

import pytest

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

EVERYWHERE = pytest.mark.parametrize(
    ("view", "style", "dtype"),
    [
        ("llama", "plain decoder", "fp32"),
        ("mistral", "fused decoder", "bf16"),
        ("qwen2", "nano decoder", "fp16"),
    ],
)


@EVERYWHERE
def test_logits_that_are_scaled_behind_the_head_are_no_noise(compare: Compare, view, style, dtype):
    """The reference's head and its logits are one tensor; the candidate's are two, of which the first agrees."""
    planted = pair(bug_named("logits scaled"), view, style=style, dtype=dtype)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == ""
    assert report.first.tap == ":out.logits"
