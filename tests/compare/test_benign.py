"""Differences that are no bugs, in one architecture under its own names: the verdict is noise."""

import pytest
import torch
from torch import nn

from probe.errors import ProbeError
from probe.report import Status, Verdict
from tests.conftest import Compare
from tests.zoo.architectures import VOCABULARY, Size, build, inputs

SIZE = Size(hidden=64, layers=3, heads=4, tokens=19)


def two(name: str = "llama", seed: int = 0) -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    """A reference, a copy of it to be changed, and what both are fed."""
    return build(name, SIZE, seed), build(name, SIZE, seed), inputs(name, SIZE, seed)


@torch.no_grad()
def fold_norms(model: nn.Module) -> None:
    """Norm weights into the matrices that follow."""
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for norm, users in (
            (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
            (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
        ):
            for user in users:
                user.weight.mul_(norm.weight)
            norm.weight.fill_(1.0)


def test_norms_folded_into_the_next_matrices(compare: Compare):
    reference, candidate, fed = two()
    fold_norms(candidate)
    report = compare(reference, candidate, fed)
    assert report.verdict is Verdict.NOISE, report.first


@torch.no_grad()
def fold_layer_norms(model: nn.Module) -> None:
    """Weight and bias into the matrix and bias that follow, as TransformerLens' fold_ln does; those are [in, out]."""
    for block in model.transformer.h:
        for norm, user in ((block.ln_1, block.attn.c_attn), (block.ln_2, block.mlp.c_fc)):
            user.bias.add_(norm.bias @ user.weight)
            user.weight.mul_(norm.weight[:, None])
            norm.weight.fill_(1.0)
            norm.bias.zero_()


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


@DTYPES
def test_layer_norms_with_biases_folded_into_the_next_matrices(compare: Compare, dtype: torch.dtype):
    """TransformerLens 693: the norms' outputs differ, all that follows agrees."""
    reference, candidate, fed = two("gpt2", 1)
    fold_layer_norms(candidate)
    report = compare(reference, candidate.to(dtype), fed)
    assert report.verdict is Verdict.NOISE, report.first
    assert "transformer.h.0.ln_1:out was tapped at another point" in report.notes[0]


@DTYPES
def test_a_fold_that_forgot_the_bias_is_a_bug(compare: Compare, dtype: torch.dtype):
    reference, candidate, fed = two("gpt2", 1)
    with torch.no_grad():
        for block in candidate.transformer.h:
            block.ln_2.bias.zero_()
    report = compare(reference, candidate.to(dtype), fed)
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == "transformer.h.0.ln_2"


@pytest.mark.parametrize("num_sentences", [1, 2])
def test_learned_positions_further_on_are_another_input(compare: Compare, num_sentences: int):
    """What rotary embeddings do not mind; put in by the replay, it would agree with itself from there on."""
    reference, candidate, fed = two("gpt2")
    ids, positions = fed["input_ids"].repeat(num_sentences, 1), torch.arange(SIZE.tokens)[None]
    mine, other = ({"input_ids": ids, "position_ids": positions + shift} for shift in (0, 7))
    with pytest.raises(ProbeError, match=r"position_ids is 7 more .* and transformer\.wpe looks them up"):
        compare(reference, candidate, mine, candidate_inputs=other)


class PlainNorm(nn.Module):
    """1 added to the weight when it was loaded, and not again in each call."""

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(1 + weight.detach()), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.eps)
        return (wide * self.weight.float()).to(x.dtype)


@DTYPES
def test_one_plus_the_weight_folded_under_the_same_name(compare: Compare, dtype: torch.dtype):
    reference, candidate, fed = two("gemma3")
    for name, norm in [(name, module) for name, module in candidate.named_modules() if name.endswith("norm")]:
        parent, _, own = name.rpartition(".")
        setattr(candidate.get_submodule(parent), own, PlainNorm(norm.weight, norm.eps))
    report = compare(reference, candidate.to(dtype), fed)
    assert report.verdict is not Verdict.DIVERGED, report.first
    assert ("offset", "19 weights: plus 1") in [(fate.kind, fate.message) for fate in report.weights]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_logits_of_a_padded_vocabulary_are_not_passed_over(compare: Compare, name: str):
    """What has more words is not compared, and that is said above the verdict."""
    reference, candidate, fed = two(name)
    candidate.resize_token_embeddings(VOCABULARY + 32, mean_resizing=False)
    report = compare(reference, candidate, fed)
    assert report.verdict is not Verdict.DIVERGED, report.first
    paired = any(row.reference == ":out.logits" for row in report.taps)
    said = [check.message for check in report.trust if check.status is Status.WARN]
    assert paired or "the model's result has other channels, :out.logits [1, 19, 256]" in said[0]


class Tiny(nn.Module):
    """Outputs far below any absolute tolerance."""

    def __init__(self, scale: float, odd: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.head = nn.Linear(16, 32), nn.Linear(32, 16, bias=False)
        with torch.no_grad():
            self.head.weight.mul_(scale)
            self.head.weight[:4].mul_(odd)

    def forward(self, x_TC: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner(x_TC).tanh())


@DTYPES
@pytest.mark.parametrize("scale", [1e-6, 1e-20], ids=str)
def test_outputs_near_zero_are_judged_by_their_own_size(compare: Compare, dtype: torch.dtype, scale: float):
    """meta-pytorch/tritonbench 1145: beside an absolute tolerance of 1e-5 anything passes."""
    fed = {"x_TC": torch.randn(9, 16, generator=torch.Generator().manual_seed(0))}
    small = {"x_TC": fed["x_TC"].to(dtype)}
    honest = compare(Tiny(scale), Tiny(scale).to(dtype), fed, candidate_inputs=small)
    assert honest.verdict is (Verdict.IDENTICAL if dtype is torch.float32 else Verdict.NOISE)
    wrong = compare(Tiny(scale), Tiny(scale, odd=1.3).to(dtype), fed, candidate_inputs=small)
    assert wrong.verdict is Verdict.DIVERGED
    assert wrong.first.module == "head"


@pytest.mark.parametrize("counting", [False, True])
def test_every_position_further_on_by_as_much(compare: Compare, counting: bool):
    """Rotary embeddings are relative; words that count up as positions do are no positions that are looked up."""
    reference, candidate, fed = two()
    if counting:
        fed = {"input_ids": 3 + torch.arange(SIZE.tokens)[None]}
    positions = torch.arange(SIZE.tokens)[None]
    report = compare(
        reference, candidate, fed | {"position_ids": positions}, candidate_inputs=fed | {"position_ids": positions + 7}
    )
    assert report.verdict is Verdict.NOISE, report.first
