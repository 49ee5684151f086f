"""Norms folded into the next matrices, or 1 into their weights, are no bugs: the verdict is noise."""

import pytest
import torch
from torch import nn

from probe.report import Verdict
from tests.compare.copies import two
from tests.conftest import Compare

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


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
