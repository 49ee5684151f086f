"""Ports that cost somebody days, as public threads tell of them, in small: all bugs at once, and all are named."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from probe.errors import ProbeError
from probe.report import Verdict
from tests.conftest import Compare
from tests.gemma4 import BUGS, gemma4, spoken
from tests.zoo.benign import BENIGN, benign_pair
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import Pair, pair


def test_gemma3_in_an_engine_of_fused_matrices(compare: Compare):
    """Another eps, weights without their 1, and the list of windows lost: the fp32 logits differ.

    https://github.com/NVIDIA/TensorRT-LLM/issues/4815
    """
    names = ["eps of Gemma's norm before attention", "1 is not added", "window lost"]
    both = pair([bug_named(name) for name in names], "gemma3", style="fused decoder", seed=3, scope="all")
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    found = {one.cause: one for one in report.findings}
    assert set(found) == {"norm.eps", "norm.weight_offset", "attn.window"}
    assert (found["norm.eps"].reference_value, found["norm.eps"].candidate_value) == (1e-5, 1e-6)
    assert found["attn.window"].module == "model.layers.0.self_attn"
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def never_loaded(style: str) -> Pair:
    """A port of Gemma whose weights are still what its constructor drew."""
    both = pair([], "gemma", style=style, seed=5)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in both.candidate.parameters():
            drawn = 0.02 * torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn if weight.dim() > 1 else torch.ones_like(weight))
    return both


def test_gemma_that_was_never_loaded(compare: Compare):
    """A script compares logits of a model whose weights it forgot to convert.

    https://github.com/meta-pytorch/torchtune/issues/2817
    """
    both = never_loaded("transformers")
    report = compare(both.reference, both.candidate, both.inputs)
    assert {one.cause for one in report.findings} == {
        *("embed.missing_weight", "norm.weight_missing", "linear.weight_missing")
    }
    matrices = next(one for one in report.findings if one.cause == "linear.weight_missing")
    assert len(matrices.modules) == 15
    assert "was it converted and loaded at all" in matrices.message
    assert report.explained == pytest.approx(1.0, abs=1e-6)


def test_gemma_that_was_never_loaded_under_other_names(compare: Compare):
    """Nothing tells what stands for what; the reason is said all the same."""
    both = never_loaded("plain decoder")
    with pytest.raises(ProbeError, match="21 of the reference's weights are nowhere in the candidate: was it conv"):
        compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)


def test_llama_with_another_rotation_of_the_same_result(compare: Compare):
    """Neighbouring channels are turned, and the converter has permuted the rows of q and k for it."""
    layout = next(one for one in BENIGN if one.name == "rope layout")
    both = benign_pair(layout, "llama", "seen", 3, "transformers", "fp32", "fp32", False)
    report = compare(both.reference, both.candidate, both.inputs)
    assert (report.verdict, report.findings) == (Verdict.NOISE, ())


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_qwen3_with_another_rotation_of_another_result(dtype: str, compare: Compare):
    """Neighbouring channels are turned, and no row was permuted."""
    bug = bug_named("neighbouring channels turned")
    both = pair([bug], "qwen3", style="plain decoder", seed=4, dtype=dtype, scope="all")
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    (found,) = (one for one in report.findings if not one.is_honest)
    assert (found.cause, found.reference_value, found.candidate_value) == ("rope.layout", "halves", "neighbours")


@pytest.mark.parametrize("reference_dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("view", "style"), [("llama", "plain decoder"), ("qwen3", "fused decoder")])
def test_bfloat16_is_noise(view: str, style: str, reference_dtype: str, compare: Compare):
    """0.2 and 0.4 of a logit are what bf16 gives, against fp32 or against another port in bf16."""
    both = pair([], view, style=style, seed=4, dtype="bf16", reference_dtype=reference_dtype)
    report = compare(both.reference, both.candidate, both.inputs, candidate_inputs=both.candidate_inputs)
    assert report.verdict is Verdict.NOISE
    assert all(one.is_honest for one in report.findings)


def test_gemma4_that_hears(compare: Compare):
    """Norms swapped around a convolution, a window one too long, minus infinity, a cap, a rounded scale.

    https://github.com/ggml-org/llama.cpp/pull/21451
    """
    reference = gemma4(seed=0)
    candidate = copy.deepcopy(reference)
    for plant in BUGS:
        plant(candidate)
    report = compare(reference, candidate, spoken(seed=1))
    found = {(one.cause, one.module.partition(".layers.0")[2]): one for one in report.findings}
    audio, text = "model.audio_tower", "model.language_model"
    assert {(one.cause, one.module) for one in report.findings} == {
        ("norm.weight_swapped", f"{audio}.layers.0.lconv1d.pre_layer_norm"),
        ("norm.weight_swapped", f"{audio}.layers.0.lconv1d.conv_norm"),
        ("attn.window", audio),
        ("attn.mask_value", f"{audio}.layers.0.self_attn"),
        ("attn.softcap", f"{text}.layers.0.self_attn"),
        ("embed.rounding", f"{text}.embed_tokens"),
        ("embed.rounding", f"{text}.embed_tokens_per_layer"),
    }
    window = found["attn.window", ""]
    assert (window.reference_value, window.candidate_value) == (6, 7)
    assert found["attn.softcap", ".self_attn"].candidate_value == 50.0
    assert report.explained == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__)
def test_gemma4_with_one_of_them(plant: Callable[[Any], None], compare: Compare):
    reference = gemma4(seed=2)
    candidate = copy.deepcopy(reference)
    plant(candidate)
    causes = {one.cause for one in compare(reference, candidate, spoken(seed=3)).findings}
    assert causes == {BUGS[plant]}
