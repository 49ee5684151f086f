"""Branches that are scaled, or whose matrix was never loaded, where a port has no tap between them and the stream."""

import pytest

from tests.conftest import Compare
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

PLANTED = [
    ("MLP's branch scaled", "llama", "plain decoder", "fp32"),
    ("matrix never loaded", "phi3", "plain decoder", "fp32"),
    ("matrix never loaded", "phi3", "plain decoder", "bf16"),
]


@pytest.mark.parametrize(("name", "view", "style", "dtype"), PLANTED)
def test_a_branch_is_named_where_it_ends(compare: Compare, name: str, view: str, style: str, dtype: str):
    planted = pair(bug_named(name), view, seed=5, style=style, dtype=dtype, scope="layer")
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert finding.cause == bug_named(name).cause
    assert finding.module in planted.places[0]
    assert report.explained > 0.99


def test_a_branch_is_scaled_on_its_way_to_its_norm(compare: Compare):
    names = [
        "1 is added twice",
        "MLP's branch scaled",
        "heads merged in the other order",
        "softcap of scores 30 for 50",
    ]
    planted = pair([bug_named(name) for name in names], "gemma2", seed=4828, style="plain decoder", scope="layer")
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = [one for one in report.findings if one.cause == "residual.scale"]
    assert finding.module == "model.layers.2"
    assert finding.candidate_value == pytest.approx(0.7071, rel=1e-4)
    assert len(report.findings) == len(names)


def test_a_branch_scaled_before_its_norm_and_a_larger_eps_are_both_told(compare: Compare):
    """They are the same function: nothing can tell one from the other, and nobody builds a norm with an eps of 2e-6."""
    planted = pair(bug_named("MLP's branch scaled"), "gemma2", seed=54760, style="nano decoder", scope="layer")
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = report.findings
    assert "residual.scale explains any input as well" in finding.message
    assert "multiplied by 0.707" in finding.message


def test_another_usual_eps_is_that_alone(compare: Compare):
    planted = pair(bug_named("eps of Gemma's final norm"), "gemma2", seed=5)
    (finding,) = compare(planted.reference, planted.candidate, planted.inputs).findings
    assert finding.cause == "norm.eps"
    assert "as well" not in finding.message


@pytest.mark.parametrize("view", ["gemma2", "gemma3"])
def test_norms_of_an_embedding_that_is_tapped_before_its_scale(compare: Compare, view: str):
    """What follows the norms agrees with the scaled embedding: theirs is the one bug."""
    planted = pair(bug_named("Gemma's norm never loaded"), view, seed=99290, style="nano decoder", scope="all")
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    assert {one.cause for one in report.findings} == {"norm.weight_missing"}
