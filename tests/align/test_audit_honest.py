"""What conversions honestly do to weights is never suspicious, and is counted as what it is."""

import math
from functools import partial

import pytest
import torch

from tests.align.auditing import Auditor, counts, suspicious
from tests.ports.styles import STYLES, Style
from tests.zoo.architectures import ARCHITECTURES, Size, build, inputs
from tests.zoo.weight_bugs import change, quantized

SIZE = Size(layers=2, tokens=9)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
UNSURE = {"unknown", "absent"}


@pytest.fixture
def audit(tmp_path) -> Auditor:
    return Auditor(tmp_path)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_weights_in_any_dtype(architecture: str, audit: Auditor):
    reference, fed = build(architecture, SIZE), inputs(architecture, SIZE)
    for dtype in DTYPES:
        found = audit(reference, build(architecture, SIZE).to(dtype), fed)
        assert set(counts(found)) <= {"equal", "rounded"}, (dtype, [finding.message for finding in found])


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_port_in_a_style_of_its_own(style: Style, audit: Auditor):
    reference = style.reference(Size(layers=2))
    fed, port_fed = style.fed()
    found = audit(reference, style.candidate(reference), fed, port_fed)
    assert not suspicious(found), [finding.message for finding in found]
    told = sum(number for kind, number in counts(found).items() if kind not in UNSURE)
    assert told >= 0.9 * sum(counts(found).values()), counts(found)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize(("bits", "about"), [(8, 43), (6, 31), (4, 18), (3, 11)])
def test_quantization_is_measured_and_not_blamed(architecture: str, bits: int, about: float, audit: Auditor):
    reference, candidate = build(architecture, SIZE), build(architecture, SIZE)
    true = math.inf
    for name, weight in reference.named_parameters():
        if weight.dim() == 2:
            change(name, partial(quantized, bits), candidate)
            error = (candidate.get_parameter(name) - weight).detach()
            true = min(true, 20 * math.log10(weight.detach().norm() / error.norm()))
    found = audit(reference, candidate, inputs(architecture, SIZE))
    assert not suspicious(found)
    [told] = [finding for finding in found if finding.kind == "quantized"]
    assert told.sqnr_db == pytest.approx(true, abs=1.5)
    assert true == pytest.approx(about, abs=1.5)


@pytest.mark.parametrize("amount", [0.003, 0.03, 0.3])
def test_a_fine_tuned_model_is_near_and_not_never_loaded(amount: float, audit: Auditor):
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    generator = torch.Generator().manual_seed(3)
    for name, weight in reference.named_parameters():
        noise = amount * weight.std().item() * torch.randn(weight.shape, generator=generator)
        change(name, lambda w, noise=noise: w + noise, candidate)
    found = counts(audit(reference, candidate, inputs("llama", SIZE)))
    assert set(found) <= {"quantized", "rounded", "unknown"}
    assert found.get("unknown", 0) <= 5  # the norms, of 64 numbers each, at the largest amount


def test_a_rotated_model_is_unknown_and_not_never_loaded(audit: Auditor):
    """QuaRot and the like multiply the channels of all weights by one orthogonal matrix."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    rotation, _ = torch.linalg.qr(torch.randn(SIZE.hidden, SIZE.hidden, generator=torch.Generator().manual_seed(0)))
    for name, weight in reference.named_parameters():
        if weight.dim() == 2 and weight.shape[1] == SIZE.hidden:
            change(name, lambda w: w @ rotation, candidate)
    found = audit(reference, candidate, inputs("llama", SIZE))
    assert not suspicious(found), [finding.message for finding in found]
    assert counts(found)["unknown"] >= 10


def test_a_norm_folded_into_the_next_layer_is_told(audit: Auditor):
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for layer in range(SIZE.layers):
        norm = f"model.layers.{layer}.input_layernorm.weight"
        gain = reference.get_parameter(norm).detach()
        for name in "qkv":
            change(f"model.layers.{layer}.self_attn.{name}_proj.weight", lambda w, gain=gain: w * gain, candidate)
    assert counts(audit(reference, candidate, inputs("llama", SIZE)))["rows or columns scaled"] == 6


def test_norms_that_are_all_ones_tell_nothing_and_are_not_blamed(audit: Auditor):
    reference, candidate = build("gpt2", SIZE), build("gpt2", SIZE)
    for model in (reference, candidate):
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                change(name, torch.ones_like if name.endswith("weight") else torch.zeros_like, model)
    found = audit(reference, candidate.bfloat16(), inputs("gpt2", SIZE))
    assert set(counts(found)) == {"equal", "rounded"}
