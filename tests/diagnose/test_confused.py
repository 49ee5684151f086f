"""Below the floor: caps, activations and multipliers that people confuse, and that no norm of the error shows."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from probe.locate import ABOVE_FLOOR
from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.draw import look_trained

SIZE = Size(hidden=96, layers=2, tokens=64)


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
    assert max(tap.ratio for tap in report.taps if "@" not in tap.reference) < ABOVE_FLOOR
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


HIDING = [
    ("gemma2", uncapped, "attn.softcap"),
    ("gemma", with_erf, "mlp.activation"),
    ("granite", with_a_smaller_branch, "residual.scale"),
]


@pytest.mark.parametrize(("name", "plant", "cause"), HIDING)
def test_an_input_that_is_too_short_says_what_it_hides_and_how_many_tokens_would_do(
    compare: Compare, name: str, plant: Callable[[nn.Module], None], cause: str
):
    reference, candidate = trained(name), trained(name)
    plant(candidate)
    fed = {"input_ids": torch.tensor([[5, 7]])}
    report = compare(reference, candidate.bfloat16(), fed)
    assert cause not in [one.cause for one in report.findings]
    (note,) = report.notes
    assert cause in note
    assert "times as many tokens would show it" in note
