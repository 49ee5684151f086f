"""Weights that have changed places, whatever a port is called and whatever lies between its taps."""

import pytest
from torch import nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

PLANTED = [
    ("keys and values swapped", "qwen3", "plain decoder", "linear.weight_swapped"),
    ("keys and values swapped", "qwen2", "nano decoder", "linear.weight_swapped"),
    ("norms swapped", "gemma2", "plain decoder", "norm.weight_swapped"),
    ("query and key norm swapped", "gemma3", "nano decoder", "norm.weight_swapped"),
]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("bug", "view", "style", "cause"), PLANTED)
def test_two_that_have_changed_places_are_told_in_a_port_of_other_names(
    compare: Compare, bug, view, style, cause, dtype
):
    planted = pair(bug_named(bug), view, style=style, scope="layer", dtype=dtype)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    findings = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert {one.cause for one in findings} == {cause}
    assert all(set(one.modules) & set(planted.places[0]) for one in findings)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_rows_of_a_weight_that_is_stored_the_other_way_round_are_told(compare: Compare, dtype):
    planted = pair(bug_named("rows rolled"), "gpt2", style="gpt2, nanoGPT", scope="layer", dtype=dtype)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert (finding.cause, finding.candidate_value) == ("linear.row_order", "rolled by 3")
    assert finding.module in planted.places[0]


def test_a_norm_that_moved_behind_the_rotation_is_not_left_out_as_well(compare: Compare):
    planted = pair(bug_named("norm of queries and keys after rotation"), "qwen3-moe", scope="layer")
    (finding,) = compare(planted.reference, planted.candidate, planted.inputs).findings
    assert finding.cause == "rope.order"
    assert finding.share is not None
    assert finding.share > 0.99


def test_norms_that_are_left_out_did_not_move(compare: Compare):
    reference, candidate = build("qwen3-moe"), build("qwen3-moe")
    candidate.model.layers[1].self_attn.q_norm = nn.Identity()
    candidate.model.layers[1].self_attn.k_norm = nn.Identity()
    findings = compare(reference, candidate, inputs("qwen3-moe")).findings
    assert {one.cause for one in findings} == {"norm.missing"}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_norm_of_the_sum_in_the_place_of_a_summand_is_told(compare: Compare, plain: bool, dtype: str):
    bug = bug_named("norm after attention takes the sum")
    planted = pair(bug, "gemma3", style="nano decoder", scope="layer", plain=plain, dtype=dtype)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert (finding.cause, finding.candidate_value) == ("norm.order", "add, then norm")
    assert finding.module in planted.places[0]
    assert finding.share is not None
    assert finding.share > 0.9
