"""A Llama and a Gemma 2 of transformers against independent ports with fused weights and flattened tokens."""

import pytest
import torch

from probe.report import Verdict
from tests.conftest import Compare
from tests.ports import gemma, llama, references

PORTS = {"llama": llama, "gemma2": gemma}


def pair(kind: str, bug: str | None = None, layer: int | None = None, seed: int = 0):
    reference = references.reference(kind, seed=seed)
    candidate = PORTS[kind].convert(reference.state_dict(), reference.config, bug, layer)
    return reference, candidate, {"input_ids": references.prompts(seed)}


@pytest.mark.parametrize("kind", PORTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_clean_port_is_noise(compare: Compare, kind, seed):
    report = compare(*pair(kind, seed=seed))
    assert report.verdict is Verdict.NOISE
    assert report.findings == ()
    assert report.output is not None
    assert report.output.kl is not None
    assert report.output.kl < 1e-9
    assert report.output.argmax_match == 1.0


@pytest.mark.parametrize("kind", PORTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_clean_port_in_a_small_dtype_is_noise(compare: Compare, kind, dtype):
    reference, candidate, inputs = pair(kind)
    report = compare(reference, candidate.to(dtype), inputs)
    assert report.verdict is Verdict.NOISE


@pytest.mark.parametrize("kind", PORTS)
def test_a_bf16_reference_against_a_float32_port_is_noise(compare: Compare, kind):
    reference, candidate, inputs = pair(kind)
    assert compare(reference.to(torch.bfloat16), candidate, inputs).verdict is Verdict.NOISE


LLAMA = [
    ("eps", None, "model.layers.0.input_layernorm"),
    ("eps", 2, "model.layers.2.input_layernorm"),
    ("rope_theta", None, "model.layers.0.self_attn"),
    ("attention_scale", 1, "model.layers.1.self_attn"),
    ("gate_up_swapped", 3, "model.layers.3.mlp.gate_proj"),
    ("gate_up_swapped", None, "model.layers.0.mlp"),
    ("norms_swapped", 2, "model.layers.2.input_layernorm"),
    ("kv_repeat", None, "model.layers.0.self_attn"),
    ("causal_off_by_one", 2, "model.layers.2.self_attn"),
]
GEMMA = [
    ("eps", None, "model.layers.0.input_layernorm"),
    ("window", None, "model.layers.0.self_attn"),
    ("window", 2, "model.layers.2.self_attn"),
    ("softcap_missing", 3, "model.layers.3.self_attn"),
    ("embed_scale_missing", None, "model.embed_tokens"),
    ("norm_offset_missing", 1, "model.layers.1.input_layernorm"),
    ("final_softcap_missing", None, ""),
]


@pytest.mark.parametrize(
    ("kind", "bug", "layer", "module"),
    [("llama", *case) for case in LLAMA] + [("gemma2", *case) for case in GEMMA],
)
def test_a_bug_of_the_port_is_found_at_its_module(compare: Compare, kind, bug, layer, module):
    report = compare(*pair(kind, bug, layer))
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module == module


def test_an_embedding_that_is_scaled_elsewhere_is_a_note_and_no_bug(compare: Compare):
    report = compare(*pair("gemma2"))
    assert report.notes == (
        "model.embed_tokens:out was tapped at another point in the candidate: all that follows agrees",
    )


def test_a_weak_bug_is_found_beside_an_embedding_that_is_scaled_elsewhere(compare: Compare):
    report = compare(*pair("gemma2", "eps", 3))
    assert {module for finding in report.findings for module in finding.modules} == {
        f"model.layers.3.{name}"
        for name in (
            "input_layernorm",
            "post_attention_layernorm",
            "pre_feedforward_layernorm",
            "post_feedforward_layernorm",
        )
    }


def test_without_replay_the_place_is_said_to_be_approximate(compare: Compare):
    reference, candidate, inputs = pair("llama", "rope_theta", 1)
    report = compare(reference, candidate, inputs, replay=False)
    assert report.verdict is Verdict.DIVERGED
    assert not report.replayed
    assert "nothing was replayed" in report.findings[0].message
