"""Below the floor: a wrong eps in bf16 and fp16 that no norm of the error shows; honest rounding is none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from probe.diagnose.evidence import flips, moments, projection
from probe.diagnose.witness import of_flips
from probe.locate import ABOVE_FLOOR
from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.draw import look_trained

SIZE = Size(hidden=96, layers=2, tokens=64)


@pytest.mark.parametrize(
    ("name", "norms", "attribute", "value"),
    [
        ("llama", "model.layers.{i}.input_layernorm", "variance_epsilon", 1e-5),
        ("gpt2", "transformer.h.{i}.ln_1", "eps", 1e-6),
    ],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_eps_is_found_where_all_errors_are_within_the_floor(
    compare: Compare, name: str, norms: str, attribute: str, value: float, dtype: torch.dtype
):
    reference, candidate = build(name, SIZE), build(name, SIZE)
    setattr(candidate.get_submodule(norms.format(i=0)), attribute, value)
    report = compare(reference, candidate.to(dtype), inputs(name, SIZE))
    assert max(tap.ratio for tap in report.taps) < ABOVE_FLOOR
    (finding,) = report.findings
    assert (finding.cause, finding.candidate_value) == ("norm.eps", value)
    assert finding.module == norms.format(i=0)
    assert finding.coefficient == pytest.approx(1, abs=0.2)
    assert finding.stderr < 1 / 6
    assert report.verdict is Verdict.DIVERGED
    assert report.first.module == finding.module


def folded(forward: Callable[[Tensor], Tensor], norm: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + norm.eps) * weight.float()).to(x.dtype)


def with_folded_norms(model: nn.Module) -> nn.Module:
    """A converter's norms: 1 + w is what they store."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            weight = (1 + module.weight.detach()).to(torch.bfloat16)
            module.forward = lambda x, norm=module, weight=weight: folded(norm.forward, norm, x, weight)
    return model


@pytest.mark.parametrize("with_bug", [True, False])
def test_an_eps_is_found_behind_another_way_to_round(compare: Compare, with_bug: bool):
    """1 + w, stored in bf16, makes every third element another one; none of them says anything of an eps."""
    reference, candidate = build("gemma3", SIZE), build("gemma3", SIZE)
    for layer in (*reference.model.layers, *candidate.model.layers):
        layer.mlp.down_proj.weight.data.mul_(0.1)
    candidate = with_folded_norms(candidate)
    for part in range(2 if with_bug else 0):
        candidate.model.layers[part].post_feedforward_layernorm.eps = 1e-5
    report = compare(reference, candidate.to(torch.bfloat16), inputs("gemma3", SIZE))
    assert [one.cause for one in report.findings if not one.is_honest] == ["norm.eps"] * with_bug
    assert [one.cause for one in report.findings if one.is_honest] == ["precision.compute"]
    assert report.verdict is (Verdict.DIVERGED if with_bug else Verdict.NOISE)


@pytest.mark.parametrize(("name", "attention"), [("llama", "eager"), ("gemma3", "sdpa"), ("bert", "sdpa")])
def test_honest_rounding_is_no_eps(compare: Compare, name: str, attention: str):
    reference, candidate = build(name, SIZE), build(name, SIZE, attention=attention)
    report = compare(reference, candidate.to(torch.bfloat16), inputs(name, SIZE))
    assert all(one.is_honest for one in report.findings)
    assert report.verdict is Verdict.NOISE


def test_a_coefficient_knows_how_sure_it_is():
    generator = torch.Generator().manual_seed(0)
    d = 0.05 * torch.randn(200, 64, generator=generator)
    noise, other = (torch.randn(200, 64, generator=generator) for _ in range(2))
    everything = torch.ones_like(d, dtype=torch.bool)
    there = projection(d, d + noise, other, everything)
    absent = projection(d, noise, other, everything)
    assert abs(there.coefficient - 1) < 3 * there.stderr
    assert abs(absent.coefficient) < 3 * absent.stderr
    assert 0.1 < there.stderr < 0.3


@pytest.mark.parametrize("axis", [0, 1])
def test_what_a_row_or_a_channel_has_in_common_is_one_witness(axis: int):
    """A scale of its own in every channel lies along d in each of 64 x 64 elements; still it is 64 witnesses."""
    y = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    scales = torch.randn(64, generator=torch.Generator().manual_seed(2)).unsqueeze(axis)
    seen = moments(y, y * scales)
    assert seen.stderr == pytest.approx(64**-0.5, rel=0.5)


def test_only_elements_that_would_change_are_asked():
    plain = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    changed = torch.tensor([[1.0, 2.5, 3.5, 4.5]])
    candidate = torch.tensor([[9.0, 2.5, 3.0, 9.0]])
    seen = flips(plain, changed, candidate, torch.ones_like(plain, dtype=torch.bool))
    assert (seen.dd, seen.coefficient) == (2, 0.5)


@pytest.mark.parametrize(("heads", "tosses", "expected"), [(29, 29, False), (30, 30, True), (44, 50, False)])
def test_six_deviations_of_a_fair_coin(heads: int, tosses: int, expected: bool):
    """One in 1.0e9: thirty heads in a row."""
    tossed = torch.eye(tosses)
    evidence = of_flips(moments(tossed, tossed * (torch.arange(tosses) < heads)))
    assert (evidence is not None) is expected


def test_what_the_input_cannot_show_is_said(compare: Compare):
    """Activations of size 1 hide an eps of 1e-5 from two tokens."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for model in (reference, candidate):
        model.model.embed_tokens.weight.data.mul_(10)
    report = compare(reference, candidate.to(torch.bfloat16), {"input_ids": torch.tensor([[5, 7]])})
    (note,) = report.notes
    assert "norm.eps" in note
    assert "times as many tokens" in note


def test_what_no_longer_input_would_show_is_said_so(compare: Compare):
    """Activations of size 100 hide an eps of 1e-5 from any number of tokens."""
    reference, candidate = build("llama", SIZE), build("llama", SIZE)
    for model in (reference, candidate):
        model.model.embed_tokens.weight.data.mul_(10_000)
    report = compare(reference, candidate.to(torch.bfloat16), {"input_ids": torch.tensor([[5, 7]])})
    (note,) = report.notes
    assert "norm.eps" in note
    assert "no longer input would show it" in note


def uncapped(model: nn.Module) -> None:
    model.model.layers[1].self_attn.attn_logit_softcapping = None


def capped_at_30(model: nn.Module) -> None:
    model.model.layers[1].self_attn.attn_logit_softcapping = 30.0


def without_last_cap(model: nn.Module) -> None:
    model.config.final_logit_softcapping = None


def with_erf(model: nn.Module) -> None:
    model.model.layers[0].mlp.act_fn = nn.GELU()


def with_tanh(model: nn.Module) -> None:
    model.gpt_neox.layers[1].mlp.act = nn.GELU("tanh")


def with_a_smaller_branch(model: nn.Module) -> None:
    model.model.layers[1].residual_multiplier = 0.35


BOTH = (torch.bfloat16, torch.float16)
PLANTED = [
    ("gemma2", uncapped, "attn.softcap", "model.layers.1.self_attn", None, BOTH),
    ("gemma2", capped_at_30, "attn.softcap", "model.layers.1.self_attn", 30.0, BOTH[:1]),
    ("gemma2", without_last_cap, "head.softcap", "", "none", BOTH[:1]),
    ("gemma", with_erf, "mlp.activation", "model.layers.0.mlp.act_fn", "GELU (erf)", BOTH),
    ("granite", with_a_smaller_branch, "residual.scale", "model.layers.1", 0.35, BOTH[:1]),
    ("gpt-neox", with_tanh, "mlp.activation", "gpt_neox.layers.1.mlp.act", "GELU (tanh)", BOTH),
]
"""Those that float16 shows in its norms are not asked of it."""


@pytest.mark.parametrize(
    ("name", "plant", "cause", "module", "value", "dtype"),
    [(*row, dtype) for *row, dtypes in PLANTED for dtype in dtypes],
)
def test_what_people_confuse_is_found_where_no_norm_shows_it(
    compare: Compare,
    name: str,
    plant: Callable[[nn.Module], None],
    cause: str,
    module: str,
    value: object,
    dtype: torch.dtype,
):
    reference, candidate = trained(name), trained(name)
    plant(candidate)
    report = compare(reference, candidate.to(dtype), inputs(name, SIZE))
    assert max(tap.ratio for tap in report.taps) < ABOVE_FLOOR
    (finding,) = report.findings
    assert (finding.cause, finding.module, finding.candidate_value) == (cause, module, value)
    assert report.verdict is Verdict.DIVERGED


@pytest.mark.parametrize("name", ["gemma2", "gemma", "gpt-neox", "granite"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_honest_rounding_is_nothing_that_people_confuse(compare: Compare, name: str, dtype: torch.dtype):
    report = compare(trained(name), trained(name).to(dtype), inputs(name, SIZE))
    assert report.findings == ()
    assert report.verdict is Verdict.NOISE


def trained(name: str) -> nn.Module:
    """Attention sharp enough for a cap to matter."""
    model = build(name, SIZE)
    look_trained(model, torch.Generator().manual_seed(3))
    return model
