"""A model seen in another precision: float64 free of its own casts, or a small dtype as if loaded in it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probe.replay.arithmetic import InDtype, InFloat64
from tests.ports import references


class Casting(nn.Module):
    """What real norms do: leave the dtype they are given, compute in float32, and come back."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = x.dtype
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * wide.to(before)


def exact(model: Casting, x: torch.Tensor) -> torch.Tensor:
    wide = x.double()
    return model.weight.detach().double() * wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)


def test_casts_inside_the_model_do_not_bring_rounding_back():
    torch.manual_seed(0)
    model, x = Casting(), torch.randn(4, 8)
    with torch.no_grad(), InFloat64():
        found = model(x)
    assert found.dtype is torch.float64
    assert torch.allclose(found, exact(model, x), rtol=1e-14, atol=0)
    rounded = model.double()(x.double())  # a copy cast to float64 stays at float32 inside
    assert not torch.allclose(rounded, exact(model, x), rtol=1e-10, atol=0)


def test_nothing_of_the_model_is_changed():
    model = references.reference("llama")
    before = {name: (value.clone(), value.dtype) for name, value in model.state_dict().items()}
    with torch.no_grad(), InFloat64():
        model(input_ids=references.prompts())
    with torch.no_grad(), InDtype(torch.bfloat16):
        model(input_ids=references.prompts())
    for name, value in model.state_dict().items():
        assert value.dtype is before[name][1]
        assert torch.equal(value, before[name][0])


def test_a_whole_model_agrees_with_float32_to_float32_precision():
    model, ids = references.reference("gemma2"), references.prompts()
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        with InFloat64():
            wide = model(input_ids=ids).logits
    assert wide.dtype is torch.float64
    error = float((plain - wide).norm() / wide.norm())
    assert 1e-8 < error < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_parameters_are_seen_in_the_small_dtype(dtype):
    torch.manual_seed(0)
    layer, x = nn.Linear(8, 8), torch.randn(3, 8).to(dtype)
    with torch.no_grad(), InDtype(dtype):
        assert layer.weight.dtype is dtype
        found = layer(x)
    with torch.no_grad():
        native = layer.to(dtype)(x)
    assert torch.equal(found, native)


def test_buffers_are_rounded_only_if_the_candidate_had_them_so():
    module = nn.Module()
    module.register_buffer("table", torch.tensor([1 / 3]))
    with InDtype(torch.bfloat16):
        kept = module.table * 1
    with InDtype(torch.bfloat16, module.buffers()):
        rounded = module.table * 1
    assert kept.dtype is torch.float32
    assert rounded.dtype is torch.bfloat16


def test_writing_in_place_reaches_the_tensor_that_was_meant():
    with InFloat64():
        mask = torch.zeros(2, 2)
        mask[0, 1] = 5
        mask.add_(1)
        filled = torch.full((2,), 0.1, dtype=torch.float32)
    assert mask.tolist() == [[1, 6], [1, 1]]
    assert filled.dtype is torch.float64
    assert filled[0].item() == 0.1


def test_integers_and_booleans_stay_what_they_are():
    with InFloat64():
        assert torch.arange(3).dtype is torch.int64
        assert (torch.ones(2) > 0).dtype is torch.bool
        assert torch.arange(3).to(torch.float32).dtype is torch.float64


def test_a_product_of_experts_has_float64_too():
    torch.manual_seed(0)
    rows, experts = torch.randn(6, 4), torch.randn(3, 4, 5)
    ends = torch.tensor([2, 2, 6], dtype=torch.int32)
    with InFloat64():
        found = torch._grouped_mm(rows, experts, offs=ends)
    wanted = torch.cat([rows[:2].double() @ experts[0].double(), rows[2:].double() @ experts[2].double()])
    assert torch.allclose(found, wanted, rtol=1e-14)


def test_attention_in_float64_is_that_of_the_formula():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 2, 5, 4)
    with InFloat64():
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = (q.double() @ k.double().transpose(-1, -2) / 2).masked_fill(~torch.ones(5, 5).tril().bool(), -torch.inf)
    assert torch.allclose(found, scores.softmax(-1) @ v.double(), rtol=1e-12)
