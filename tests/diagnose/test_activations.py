"""quant.activation: the limit is fitted until no number is rounded to the other side."""

import pytest

from tests.conftest import Compare
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair


@pytest.mark.parametrize(("view", "seed"), [("gemma3", 9712), ("whisper-encoder", 13314), ("llama", 3)])
def test_activations_clipped_at_half_of_the_largest(compare: Compare, view: str, seed: int):
    planted = pair(bug_named("activations clipped"), view, seed=seed, scope="layer", same_layer=True)
    report = compare(planted.reference, planted.candidate, planted.inputs)
    (finding,) = report.findings
    assert finding.cause == "quant.activation"
    assert finding.module in planted.places[0]
    assert finding.candidate_value == pytest.approx(finding.reference_value / 2, rel=1e-5)
    assert report.explained > 0.999
