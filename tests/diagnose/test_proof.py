"""What was found is planted into the reference, end to end: how much of the output's error that explains."""

import pytest
import torch
from torch import nn

from probe.diagnose.edits import constant
from probe.diagnose.planting import Planting, planted
from tests.conftest import Compare
from tests.zoo.architectures import build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair


def two(name: str) -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    return build(name), build(name), inputs(name)


@torch.no_grad()
def transpose(linear: nn.Linear) -> None:
    linear.weight.copy_(linear.weight.T.clone())


def test_one_cause_explains_all(compare: Compare):
    reference, candidate, fed = two("llama")
    for layer in candidate.model.layers:
        layer.input_layernorm.variance_epsilon = 1e-3
    report = compare(reference, candidate, fed)
    assert report.explained == pytest.approx(1.0, abs=1e-6)
    assert [one.share for one in report.findings] == [report.explained]
    assert report.to_dict()["explained"] == report.explained


def test_a_rotary_base_is_another_in_cosines_and_in_sines(compare: Compare):
    """Both are taps of one module; the first of them is named."""
    reference, candidate, fed = two("llama")
    candidate.model.rotary_emb.inv_freq = candidate.model.rotary_emb.inv_freq**1.1
    report = compare(reference, candidate, fed)
    assert [one.cause for one in report.findings] == ["rope.theta"]
    assert report.explained == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("bug", "view", "style"),
    [
        ("one after the other", "gpt-neox", "transformers"),
        ("side by side", "gpt-neox", "transformers"),
        ("residual taken after the norm", "llama", "plain decoder"),
    ],
)
def test_a_tensor_from_elsewhere_is_the_models_own_once_planted(compare: Compare, bug: str, view: str, style: str):
    both = pair(bug_named(bug), view, seed=8, style=style)
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert {one.cause for one in report.findings} == {"residual.order"}
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def test_a_bug_behind_another_of_the_same_code_is_found_too(compare: Compare):
    """Both branches of a layer lack their multiplier; of the second's sum, the first is a part."""
    both = pair(bug_named("residual multiplier left out"), "granite", seed=8, style="nano decoder", scope="layer")
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert {one.cause for one in report.findings} == {"residual.scale"}
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def test_each_of_two_has_a_share_of_its_own(compare: Compare):
    reference, candidate, fed = two("llama")
    candidate.model.layers[0].input_layernorm.variance_epsilon = 1e-3
    transpose(candidate.model.layers[1].self_attn.o_proj)
    report = compare(reference, candidate, fed)
    small, large = report.findings
    assert (small.cause, large.cause) == ("norm.eps", "linear.weight_transposed")
    assert small.share < 0.1 < 0.9 < large.share < report.explained
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def test_what_nothing_explains_is_not_counted_as_explained(compare: Compare):
    reference, candidate, fed = two("llama")
    candidate.model.layers[0].input_layernorm.variance_epsilon = 1e-3
    candidate.model.layers[1].mlp.register_forward_hook(lambda module, args, output: output + output.roll(1, -1))
    report = compare(reference, candidate, fed)
    assert sorted(one.cause for one in report.findings) == ["norm.eps", "unknown"]
    assert report.explained < 0.5


def test_the_model_is_itself_again_afterwards():
    model, fed = build("llama"), inputs("llama")
    norm = "model.layers.0.input_layernorm"
    other = Planting((((norm, 0, 3), "add", constant(1, 1.0)),), (("lm_head.weight", torch.zeros(256, 64)),))
    with torch.no_grad():
        before = model(**fed).logits
        with planted(model, [other]):
            assert not model(**fed).logits.any(), "the planted weight is what counts inside"
        assert torch.equal(model(**fed).logits, before)


def test_two_causes_in_one_module_are_both_found(compare: Compare):
    """The weights that lack their 1 outweigh the eps by far."""
    reference, candidate, fed = two("gemma3")
    norm = candidate.model.layers[0].input_layernorm
    norm.eps = 1e-4
    with torch.no_grad():
        norm.weight.sub_(1.0)
    report = compare(reference, candidate, fed)
    assert sorted(one.cause for one in report.findings) == ["norm.eps", "norm.weight_offset"]
    assert {one.module for one in report.findings} == {"model.layers.0.input_layernorm"}
    assert report.explained == pytest.approx(1.0, abs=1e-6)
