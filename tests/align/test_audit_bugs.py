"""The audit names what is wrong with a weight: one finding, of the right kind, of the right weight, in any dtype."""

from functools import lru_cache

import pytest
import torch
from torch import nn

from tests.align.auditing import Auditor, suspicious
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.weight_bugs import BERT, GPT2, LLAMA, Names, WeightBug, bugs, fresh, swap

SIZE = Size(tokens=4)
CASES = [
    pytest.param(names, bug, dtype, id=f"{names.architecture}, {bug.name}, {str(dtype).rpartition('.')[2]}")
    for names, dtypes in ((LLAMA, ("float32", "bfloat16")), (GPT2, ("bfloat16",)), (BERT, ("float32",)))
    for bug in bugs(names)
    for dtype in (getattr(torch, name) for name in dtypes)
]


@lru_cache
def reference(architecture: str) -> nn.Module:
    return build(architecture, SIZE)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("audit"))


@pytest.mark.parametrize(("names", "bug", "dtype"), CASES)
def test_a_planted_bug_is_named_and_nothing_else_is(names: Names, bug: WeightBug, dtype: torch.dtype, audit: Auditor):
    candidate = build(names.architecture, SIZE).to(dtype)
    bug.plant(candidate)
    [found] = suspicious(audit(reference(names.architecture), candidate, inputs(names.architecture, SIZE)))
    assert (found.kind, bug.weight in found.weights) == (bug.kind, True), found.message
    assert bug.says in found.message


def test_what_repeats_through_the_layers_is_one_finding(audit: Auditor):
    candidate = build("llama", SIZE)
    for layer in range(SIZE.layers):
        swap(LLAMA.norm.replace("{i}", str(layer)), LLAMA.other_norm.replace("{i}", str(layer)), candidate)
    [found] = suspicious(audit(reference("llama"), candidate, inputs("llama", SIZE)))
    assert (found.kind, found.reference, len(found.weights)) == ("swapped", LLAMA.norm, 6)
    assert found.message.endswith("i = 0, 1, 2")


@torch.no_grad()
def test_norms_that_resemble_each_other_are_told_apart(audit: Auditor):
    """Trained norms of neighbouring layers differ by a few percent of what they vary among channels."""
    alike = build("llama", SIZE)
    for name, weight in alike.named_parameters():
        if weight.dim() == 1:
            noise = torch.randn(SIZE.hidden, generator=torch.Generator().manual_seed(len(name)))
            base = 1 + 0.3 * torch.randn(SIZE.hidden, generator=torch.Generator().manual_seed(0))
            weight.copy_(base + 0.05 * noise + (0.02 if "layers.1" in name else 0) * noise.flip(0))
    candidate = build("llama", SIZE)
    candidate.load_state_dict(alike.state_dict())
    swap("model.layers.0.input_layernorm.weight", "model.layers.1.input_layernorm.weight", candidate)
    [found] = suspicious(audit(alike, candidate.bfloat16(), inputs("llama", SIZE)))
    assert found.kind == "other layer's", found.message


@torch.no_grad()
def test_layers_in_another_order_are_one_finding(audit: Auditor):
    candidate = build("llama", SIZE)
    first, second = (candidate.get_submodule(f"model.layers.{layer}") for layer in (0, 1))
    kept = {name: value.clone() for name, value in first.state_dict().items()}
    first.load_state_dict(second.state_dict())
    second.load_state_dict(kept)
    [found] = suspicious(audit(reference("llama"), candidate, inputs("llama", SIZE)))
    assert (found.kind, len(found.weights)) == ("other layer's", 18)
    assert found.message.endswith("8 other weights likewise")


@torch.no_grad()
def test_a_head_that_should_be_tied_and_is_random(audit: Auditor):
    candidate = build("gpt2", SIZE)
    candidate.lm_head.weight = nn.Parameter(fresh(candidate.lm_head.weight))
    [found] = suspicious(audit(reference("gpt2"), candidate, inputs("gpt2", SIZE)))
    assert (found.kind, found.weights) == ("never loaded", ("lm_head.weight",))
    assert "the reference ties it to transformer.wte.weight" in found.message


@torch.no_grad()
def test_a_head_tied_in_the_candidate_alone(audit: Auditor):
    untied = build("gpt2", SIZE)
    untied.lm_head.weight = nn.Parameter(fresh(untied.lm_head.weight))
    [found] = suspicious(audit(untied, build("gpt2", SIZE), inputs("gpt2", SIZE)))
    assert (found.kind, found.weights) == ("other weight's", ("lm_head.weight",))
    assert "tied to transformer.wte.weight in the candidate alone" in found.message


@torch.no_grad()
def test_an_untied_copy_is_no_bug(audit: Auditor):
    candidate = build("gpt2", SIZE)
    candidate.lm_head.weight = nn.Parameter(candidate.lm_head.weight.clone())
    found = audit(reference("gpt2"), candidate, inputs("gpt2", SIZE))
    assert not suspicious(found)
    assert [f.weights for f in found if f.kind == "tied on one side"] == [("lm_head.weight",)]


@pytest.mark.parametrize("weight", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"])
def test_a_nan_in_a_weight(weight: str, audit: Auditor):
    candidate = build("llama", SIZE)
    with torch.no_grad():
        candidate.get_parameter(weight)[3] = torch.nan
    [found] = suspicious(audit(reference("llama"), candidate, inputs("llama", SIZE)))
    assert (found.kind, found.weights) == ("not finite", (weight,))


@pytest.mark.parametrize(
    ("change", "kind"),
    [(lambda w: w.roll(1, 0), "inconsistent"), (lambda w: torch.cat([w[:2], fresh(w[:2])]), "partly loaded")],
    ids=["experts in another order", "half of the experts"],
)
def test_experts(change, kind: str, audit: Auditor):
    candidate = build("mixtral", SIZE)
    name = "model.layers.1.mlp.experts.down_proj"
    with torch.no_grad():
        candidate.get_parameter(name).copy_(change(candidate.get_parameter(name).clone()))
    [found] = suspicious(audit(reference("mixtral"), candidate, inputs("mixtral", SIZE)))
    assert (found.kind, found.weights) == (kind, (name,))


def test_a_model_that_nothing_was_loaded_into_is_one_finding(audit: Auditor):
    candidate = type(reference("llama"))(reference("llama").config).eval()
    [found] = suspicious(audit(reference("llama"), candidate, inputs("llama", SIZE)))
    assert found.kind == "nothing loaded"
    assert "was it converted and loaded at all" in found.message
