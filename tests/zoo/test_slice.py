"""A slice of the zoo: what `make zoo` runs in full."""

from pathlib import Path

import pytest
import torch

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.bugs import bug_named
from tests.zoo.decoder.settings import VIEWS as DECODED
from tests.zoo.judge import judge
from tests.zoo.pairs import pair

SLICE = Size(hidden=64, layers=2, tokens=17)
PLANTED = [
    ("eps of the norm before attention", "llama", "transformers"),
    ("eps of Gemma's norm before the MLP", "gemma3", "fused decoder"),
    ("eps of the query norm", "qwen3", "plain decoder"),
    ("eps of a layer norm", "gpt2", "transformers"),
    ("norms swapped", "phi3", "transformers"),
    ("1 is not added", "gemma2", "gemma2, fused"),
    ("norm never loaded", "bert", "bert, fused, no padding"),
    ("another layer's matrix", "llama", "llama, Megatron"),
    ("square matrix transposed", "whisper-decoder", "whisper, OpenAI"),
    ("query's bias dropped", "qwen2", "nano decoder"),
    ("scale a little off", "vit", "transformers"),
    ("softcap of scores off", "gemma2", "plain decoder"),
    ("window one longer", "mistral", "fused decoder"),
    ("key heads tiled", "mixtral", "transformers"),
    ("sinks dropped", "gpt-oss", "transformers"),
    ("theta 1e4 for 5e5", "granite", "transformers"),
    ("neighbouring channels turned", "llama", "fused decoder"),
    ("GELU by erf for tanh", "gpt2", "transformers"),
    ("GELU by tanh for erf", "whisper-encoder", "transformers"),
    ("gate and up swapped", "gemma", "plain decoder"),
    ("experts rolled", "qwen3-moe", "transformers"),
    ("router's weights normalized", "qwen2-moe", "transformers"),
    ("positions one later", "bert", "transformers"),
    ("tied head never tied", "gpt2", "transformers"),
    ("softcap of logits off", "gemma2", "transformers"),
    ("side by side", "gpt-neox", "transformers"),
]


@pytest.mark.parametrize("name", ["qwen3", "mixtral", "gpt2", "whisper"])
def test_honest_runs_are_not_blamed(compare: Compare, name):
    reference, fed = build(name, SLICE, 3), inputs(name, SLICE, 3)
    sdpa = compare(reference, build(name, SLICE, 3, "sdpa"), fed)
    assert sdpa.verdict is Verdict.NOISE
    small = {key: value.bfloat16() if value.is_floating_point() else value for key, value in fed.items()}
    bf16 = compare(reference, build(name, SLICE, 3).to(torch.bfloat16), fed, candidate_inputs=small)
    assert bf16.verdict is Verdict.NOISE


@pytest.mark.parametrize(("name", "view", "style"), PLANTED, ids=lambda what: str(what).replace(" ", "-"))
def test_a_planted_bug_is_found_at_its_module(tmp_path: Path, name, view, style):
    outcome = judge(pair(bug_named(name), view, "seen", 5, style=style), name, "seen", tmp_path)
    assert not outcome.trouble
    assert outcome.verdict == Verdict.DIVERGED
    assert outcome.place, outcome.first


@pytest.mark.parametrize("name", ["eps of the norm before the MLP", "queries one position later", "quick GELU"])
def test_a_bug_is_found_in_a_reference_that_no_library_knows(tmp_path: Path, name):
    bug = bug_named(name)
    made = pair(bug, next(view for view in bug.fits if view in DECODED), "seen", 5, style="fused decoder", plain=True)
    outcome = judge(made, name, "seen", tmp_path)
    assert not outcome.trouble
    assert outcome.place, outcome.first


def test_a_weight_with_a_nan_is_found_at_its_module(compare: Compare):
    reference, candidate = build("llama", SLICE, 5), build("llama", SLICE, 5)
    candidate.get_parameter("model.layers.1.mlp.up_proj.weight").data[3] = torch.nan
    report = compare(reference, candidate, inputs("llama", SLICE, 5))
    assert report.first is not None
    assert report.first.module == "model.layers.1.mlp.up_proj"
