"""linear.*, shard.*, quant.*: what was done to a matrix is named; an honest rounding of all blames nobody."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import build, inputs

Change = Callable[[Tensor], Tensor]
UP = {"llama": "model.layers.1.mlp.up_proj", "bert": "encoder.layer.1.intermediate.dense"}
OUT = {"llama": "model.layers.1.self_attn.o_proj", "bert": "encoder.layer.1.attention.output.dense"}


def int_rows(bits: int, weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (weight / scale).round(), scale


def one_scale(weight: Tensor) -> Tensor:
    whole, scale = int_rows(8, weight)
    return whole * scale[:1]


def scale_of_another_row(weight: Tensor) -> Tensor:
    whole, scale = int_rows(8, weight)
    return whole * scale.roll(1, 0)


def half(weight: Tensor) -> Tensor:
    return torch.cat([weight.chunk(2, dim=1)[0], torch.zeros_like(weight.chunk(2, dim=1)[1])], dim=1)


def exchanged_halves(weight: Tensor) -> Tensor:
    return torch.cat(weight.chunk(2, dim=1)[::-1], dim=1)


def interleaved(weight: Tensor) -> Tensor:
    return weight.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1)


CHANGES: list[tuple[str, str, dict[str, str], Change]] = [
    ("linear.weight_missing", "zeros", UP, torch.zeros_like),
    ("linear.weight_missing", "another matrix", UP, lambda w: w[torch.randperm(len(w))].neg() * torch.rand_like(w)),
    ("linear.weight_transposed", "None", OUT, lambda w: w.T.clone()),
    ("linear.row_order", "rolled by 3", UP, lambda w: w.roll(3, 0)),
    ("linear.row_order", "interleaved where the reference has halves", UP, interleaved),
    ("shard.missing_reduce", "part 1 of 2", OUT, half),
    ("shard.order", "2 parts, reversed", OUT, exchanged_halves),
    ("quant.scale", "the row before's", UP, scale_of_another_row),
    ("quant.granularity", "the first row's for all rows", UP, one_scale),
]


@torch.no_grad()
def changed(model: nn.Module, module: str, change: Change) -> nn.Module:
    torch.manual_seed(0)
    weight = model.get_submodule(module).weight
    weight.copy_(change(weight.clone()))
    return model


@pytest.mark.parametrize(
    ("name", "dtype"), [("llama", torch.float32), ("bert", torch.float32), ("llama", torch.bfloat16)]
)
@pytest.mark.parametrize(
    ("cause", "value", "modules", "change"), CHANGES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_was_done_to_a_matrix_is_named(
    compare: Compare, name: str, dtype: torch.dtype, cause: str, value: str, modules: dict[str, str], change: Change
):
    candidate = changed(build(name), modules[name], change).to(dtype)
    findings = compare(build(name), candidate, inputs(name)).findings
    (finding,) = [one for one in findings if not one.cause.startswith("precision.")]
    assert (finding.cause, finding.module, str(finding.candidate_value)) == (cause, modules[name], value)


def test_another_layers_matrix_is_told_by_its_name(compare: Compare):
    reference, candidate = build("bert"), build("bert")
    other = "encoder.layer.2.output.dense"
    changed(candidate, "encoder.layer.0.output.dense", lambda _: reference.get_submodule(other).weight)
    (finding,) = compare(reference, candidate, inputs("bert")).findings
    assert (finding.cause, finding.candidate_value) == ("linear.weight_swapped", f"{other}.weight")


def test_gate_and_up_exchanged_are_one_finding(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    mlp = reference.model.layers[1].mlp
    changed(candidate, "model.layers.1.mlp.gate_proj", lambda _: mlp.up_proj.weight)
    changed(candidate, "model.layers.1.mlp.up_proj", lambda _: mlp.gate_proj.weight)
    (finding,) = compare(reference, candidate, inputs("llama")).findings
    assert finding.cause == "mlp.gate_up_swapped"
    assert set(finding.modules) == {"model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"}


@pytest.mark.parametrize("bits", [8, 4])
def test_quantized_matrices_are_noise_and_said_to_be_quantized(compare: Compare, bits: int):
    candidate = build("llama")
    linears = [name for name, module in candidate.named_modules() if isinstance(module, nn.Linear) and "mlp" in name]
    for name in linears:
        changed(candidate, name, lambda weight: torch.mul(*int_rows(bits, weight)))
    report = compare(build("llama"), candidate, inputs("llama"))
    (finding,) = report.findings
    assert (finding.cause, finding.candidate_value) == ("linear.quantized", f"int{bits}, a scale for each row")
    assert len(finding.modules) == len(linears)
    assert report.verdict is Verdict.NOISE


def test_a_matrix_of_two_bits_is_no_noise(compare: Compare):
    candidate = changed(build("llama"), UP["llama"], lambda weight: torch.mul(*int_rows(2, weight)))
    report = compare(build("llama"), candidate, inputs("llama"))
    assert [one.cause for one in report.findings] == ["linear.quantized"]
    assert report.verdict is Verdict.DIVERGED


def test_noise_on_a_matrix_has_no_name(compare: Compare):
    """As large as eight bits make it, and of no scheme."""
    candidate = changed(build("llama"), UP["llama"], lambda w: w + 0.003 * w.std() * torch.randn_like(w))
    assert [one.cause for one in compare(build("llama"), candidate, inputs("llama")).findings] == ["unknown"]
