"""Gradients beside the forward run: honest ones are noise, and a wrong backward pass is found by its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.report import Report, Verdict
from tests.capture.trained import TRAINED, loss_of, recorded, trained


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is `factor` times what it should be."""

    @staticmethod
    def forward(context, x, factor):  # type: ignore[no-untyped-def]
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):  # type: ignore[no-untyped-def]
        return gradient * context.factor, None


def wrong_on_the_way_back(module: nn.Module, factor: float = 0.5) -> None:
    """What `module` hands back to whoever made its input."""
    forward = module.forward
    module.forward = lambda x, *more: forward(Scaled.apply(x, factor), *more)  # type: ignore[method-assign]


@pytest.fixture
def trained_twice(tmp_path: Path) -> Callable[..., Report]:
    def run(name: str, candidate: nn.Module, dtype: torch.dtype = torch.float32, *, live: bool = False) -> Report:
        reference = trained(name, dtype=dtype)
        for model, file in ((reference, "reference.h5"), (candidate, "candidate.h5")):
            recorded(model, name, tmp_path / file)
        live_model = reference if live else None
        return probe.diff(tmp_path / "reference.h5", tmp_path / "candidate.h5", reference=live_model)

    return run


HONEST = [(name, dtype) for name in TRAINED for dtype in (torch.float32, torch.bfloat16)]
HONEST.remove(("mixtral", torch.bfloat16))


@pytest.mark.parametrize(("name", "dtype"), HONEST)
def test_another_attention_kernel_is_noise_on_the_way_back_too(
    trained_twice: Callable[..., Report], name: str, dtype: torch.dtype
) -> None:
    attention = "eager" if name == "mamba" else "sdpa"
    report = trained_twice(name, trained(name, attention, dtype), dtype)
    gradients = [row for row in report.taps if ":grad." in row.reference]
    assert report.verdict is (Verdict.IDENTICAL if name == "mamba" else Verdict.NOISE), report.first
    assert len(gradients) > 30
    assert all(row.local_error is None for row in gradients)
    assert not any(":grad." in tap for tap in report.candidate_only)
    unpaired = {tap.rpartition(":")[2] for tap in report.reference_only if ":grad." in tap}
    assert unpaired <= {"grad.out.1"}  # probabilities, which sdpa does not return


def test_where_other_experts_were_chosen_no_gradient_is_blamed(trained_twice: Callable[..., Report]) -> None:
    report = trained_twice("mixtral", trained("mixtral", "sdpa", torch.bfloat16), torch.bfloat16)
    assert report.first is None or ":grad." not in report.first.tap
    assert any("gradients are" in note and "not judged" in note for note in report.notes)


WRONG = {
    "llama": ("layers.1.mlp.down_proj", "layers.1.mlp.up_proj:grad.out", "layers.1.mlp"),
    "gemma3": ("layers.0.self_attn.o_proj", "layers.0.self_attn:grad.out.1", "layers.0.self_attn"),
    "gpt2": ("h.1.mlp.c_proj", "h.1.mlp.act:grad.out", "h.1.mlp.c_proj"),
    "mixtral": ("layers.1.input_layernorm", "layers.0:grad.out", "layers.1.input_layernorm"),
    "whisper": ("decoder.layers.1.fc2", "decoder.layers.1.activation_fn:grad.out", "decoder.layers.1.fc2"),
    "mamba": ("layers.1.mixer.out_proj", "layers.1.mixer:grad.D", "layers.1.mixer"),
}
"""What hands back half of its gradient, where it shows first, and whom it points to: who takes what was returned, or
whose own code does."""


@pytest.mark.parametrize(("name", "live"), [*((name, False) for name in TRAINED), ("llama", True)])
def test_a_wrong_backward_pass_is_found_where_it_shows_first(
    trained_twice: Callable[..., Report], name: str, live: bool
) -> None:
    module, tap, blamed = WRONG[name]
    candidate = trained(name, "eager" if name in ("gemma3", "mamba") else "sdpa")
    top = {"gpt2": "transformer.", "mamba": "backbone."}.get(name, "model.")
    wrong_on_the_way_back(candidate.get_submodule(top + module))
    report = trained_twice(name, candidate, live=live)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert (report.first.tap, report.first.module) == (top + tap, top + blamed)
    assert [finding.cause for finding in report.findings] == ["unknown"]
    assert "by size alone (gradients are not replayed)" in report.findings[0].message
    assert "while the forward run agrees" in report.findings[0].message
    assert report.replayed is live


def test_the_first_gradient_of_all_points_to_the_loss(tmp_path: Path) -> None:
    """Half a batch's loss, or the same twice: everything on the way back is off by one factor."""
    for factor, path in ((1, tmp_path / "a.h5"), (3, tmp_path / "b.h5")):
        model = trained("llama")
        with probe.record(model, path, gradients=True):
            (factor * loss_of(model, "llama")).backward()
    report = probe.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    assert report.first is not None
    assert (report.first.tap, report.first.module) == ("lm_head:grad.out", "")
    assert "3 times the reference's, while the forward run agrees; is the loss the same?" in report.findings[0].message


def test_a_nan_on_one_side_alone_is_found(trained_twice: Callable[..., Report]) -> None:
    candidate = trained("llama")
    wrong_on_the_way_back(candidate.get_submodule("model.layers.1.mlp.down_proj"), float("nan"))
    report = trained_twice("llama", candidate)
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.tap == "model.layers.1.mlp.up_proj:grad.out"


def test_what_goes_wrong_forward_is_the_first_and_gradients_are_only_listed(
    trained_twice: Callable[..., Report],
) -> None:
    candidate = trained("llama")
    candidate.get_submodule("model.layers.1.input_layernorm").variance_epsilon = 1e-3
    report = trained_twice("llama", candidate, live=True)
    assert report.first is not None
    assert ":grad." not in report.first.tap
    assert any("gradients are listed, and not judged" in note for note in report.notes)
    assert [finding.cause for finding in report.findings] == ["norm.eps"]
    assert any(row.rel_l2 > 0 for row in report.taps if ":grad." in row.reference)


class Conv1D(nn.Module):
    """Keeps its weight as [in, out], as GPT-2 does."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(linear.weight.detach().T.contiguous()), nn.Parameter(linear.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def test_of_a_transposed_weight_the_gradient_is_transposed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 16))
    other = nn.Sequential(Conv1D(linear[0]), nn.Tanh(), Conv1D(linear[2]))  # type: ignore[arg-type]
    for model, path in ((linear, tmp_path / "a.h5"), (other, tmp_path / "b.h5")):
        with probe.record(model, path, gradients=True):
            model(torch.randn(8, 16, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    report = probe.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    errors = {row.reference: row.rel_l2 for row in report.taps}
    assert report.verdict is not Verdict.DIVERGED, report.first
    assert errors["0:grad.weight"] < 1e-5
    assert errors["2:grad.weight"] < 1e-5


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_one_side_without_gradients_is_said(tmp_path: Path, side: str) -> None:
    model = nn.Linear(4, 4)
    for one in ("reference", "candidate"):
        with probe.record(model, tmp_path / one, gradients=True):
            y = model(torch.ones(2, 4))
            if one != side:
                y.sum().backward()
    report = probe.diff(tmp_path / "reference", tmp_path / "candidate")
    assert report.verdict is Verdict.IDENTICAL
    note = f"the {side} was recorded with gradients=True, but no backward pass ran inside the block"
    assert note in report.notes
    assert not any(":grad" in tap for tap in (*report.reference_only, *report.candidate_only))


class Dead(nn.Module):
    """A branch that adds nothing; its gradient is zero, or in the other implementation as good as zero."""

    def __init__(self, residue: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.branch, self.linear, self.residue = nn.Linear(8, 8), nn.Linear(8, 8), residue

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + Scaled.apply(self.branch(x), self.residue)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("residue", "verdict"), [(1e-9, Verdict.NOISE), (1e-3, Verdict.DIVERGED)])
def test_what_is_zero_on_one_side_and_less_than_a_rounding_on_the_other(
    tmp_path: Path, residue: float, verdict: Verdict
) -> None:
    for size, path in ((0.0, tmp_path / "a.h5"), (residue, tmp_path / "b.h5")):
        model = Dead(size)
        with probe.record(model, path, gradients=True):
            model(torch.ones(4, 8)).square().sum().backward()
    report = probe.diff(tmp_path / "a.h5", tmp_path / "b.h5")
    assert report.verdict is verdict
