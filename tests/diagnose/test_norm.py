"""norm.*: weights that belong elsewhere, lack a 1 or were never loaded; norms left out or of another kind."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compare
from tests.zoo.architectures import build, inputs


@dataclass(frozen=True)
class Planted:
    architecture: str
    module: str
    plant: Callable[[nn.Module, nn.Module], None]
    """Given the norm and the model."""
    cause: str
    ours: str | None
    theirs: str | None


def _weight(change: Callable[[Tensor], Tensor], name: str = "weight") -> Callable[[nn.Module, nn.Module], None]:
    def plant(norm: nn.Module, model: nn.Module) -> None:
        weight = norm.get_parameter(name)
        weight.data.copy_(change(weight.data.clone()))

    return plant


def _all_of(other: str) -> Callable[[nn.Module, nn.Module], None]:
    return lambda norm, model: norm.load_state_dict(model.get_submodule(other).state_dict())


def _forward(change: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, nn.Module], None]:
    def plant(norm: nn.Module, model: nn.Module) -> None:
        norm.forward = lambda x: change(norm, x)

    return plant


def _centered(norm: nn.Module, x: Tensor) -> Tensor:
    return type(norm).forward(norm, x - x.mean(-1, keepdim=True))


def _root_mean_square(norm: nn.Module, x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + norm.eps) * norm.weight


TAKEN, KEPT = "the mean is taken off", "the mean is not taken off"
LLAMA, GEMMA, GPT2 = "model.layers.1.post_attention_layernorm", "model.layers.1.input_layernorm", "transformer.h.1.ln_2"
QUERY, BERT = "model.layers.1.self_attn.q_norm", "encoder.layer.1.output.LayerNorm"
PLANTED = {
    "1 not added": Planted("gemma", GEMMA, _weight(lambda w: w - 1), "norm.weight_offset", "1 + w", "w"),
    "1 added twice": Planted("gemma3", QUERY, _weight(lambda w: w + 1), "norm.weight_offset", "1 + w", "2 + w"),
    "1 added to a plain norm": Planted("llama", LLAMA, _weight(lambda w: w + 1), "norm.weight_offset", "w", "1 + w"),
    "still ones": Planted(
        "qwen2", LLAMA, _weight(torch.ones_like), "norm.weight_missing", f"{LLAMA}.weight", "1 everywhere"
    ),
    "still zeros, and 1 is added": Planted(
        "gemma2", GEMMA, _weight(torch.zeros_like), "norm.weight_missing", f"{GEMMA}.weight", "1 everywhere"
    ),
    "bias still zeros": Planted(
        "gpt2", GPT2, _weight(torch.zeros_like, "bias"), "norm.weight_missing", f"{GPT2}.bias", "0 everywhere"
    ),
    "another norm's weights": Planted(
        "bert", BERT, _all_of("encoder.layer.0.output.LayerNorm"), "norm.weight_swapped", BERT, BERT.replace("1", "0")
    ),
    "no query norm": Planted("qwen3", QUERY, _forward(lambda norm, x: x), "norm.missing", QUERY, None),
    "no layer norm": Planted("gpt2", GPT2, _forward(lambda norm, x: x), "norm.missing", GPT2, None),
    "LayerNorm for RMSNorm": Planted("mixtral", LLAMA, _forward(_centered), "norm.kind", KEPT, TAKEN),
    "RMSNorm for LayerNorm": Planted(
        "bert", BERT, _forward(_root_mean_square), "norm.kind", TAKEN, f"{KEPT}, nor is a bias added"
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_wrong_with_a_norm_is_named(compare: Compare, name: str):
    bug = PLANTED[name]
    reference, candidate = build(bug.architecture), build(bug.architecture)
    bug.plant(candidate.get_submodule(bug.module), candidate)
    (finding,) = compare(reference, candidate, inputs(bug.architecture)).findings
    assert (finding.cause, finding.module) == (bug.cause, bug.module)
    assert (finding.reference_value, finding.candidate_value) == (bug.ours, bug.theirs)
    assert finding.share == pytest.approx(1.0, abs=1e-4)


def test_query_and_key_norm_exchanged_are_named_each(compare: Compare):
    reference, candidate = build("qwen3"), build("qwen3")
    attention = candidate.model.layers[1].self_attn
    attention.q_norm, attention.k_norm = attention.k_norm, attention.q_norm
    findings = compare(reference, candidate, inputs("qwen3")).findings
    assert {one.cause for one in findings} == {"norm.weight_swapped"}
    assert [one.candidate_value for one in findings] == [QUERY.replace("q_", "k_") + ".weight", QUERY + ".weight"]


Norm = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""x, weight, bias, eps."""


def _by_deviation(x: Tensor, w: Tensor, b: Tensor, eps: float) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    return centered / torch.sqrt(centered.pow(2).mean(-1, keepdim=True) + eps) * w + b


def _by_variance(x: Tensor, w: Tensor, b: Tensor, eps: float) -> Tensor:
    return w * ((x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()) + b


def _by_power(x: Tensor, w: Tensor, b: Tensor, eps: float) -> Tensor:
    return (1 + w) * (x * (eps + (x * x).mean(-1, keepdim=True)) ** -0.5) + 0 * b


FORMS: dict[str, Norm] = {
    "layer_norm": lambda x, w, b, eps: nn.functional.layer_norm(x, w.shape, w, b, eps),
    "rms_norm": lambda x, w, b, eps: nn.functional.rms_norm(x, w.shape, w, eps) + 0 * b,
    "rms_norm of 1 + w": lambda x, w, b, eps: nn.functional.rms_norm(x, w.shape, 1 + w, eps) + 0 * b,
    "group_norm": lambda x, w, b, eps: nn.functional.group_norm(x.mT, 4, w, b, eps).mT,
    "batch_norm": lambda x, w, b, eps: nn.functional.batch_norm(x.mT, 0 * w, 1 + 0 * b, w, b, eps=eps).mT,
    "deviation": _by_deviation,
    "variance": _by_variance,
    "power": _by_power,
}


class Plain(nn.Module):
    """A norm that is a line of the model's own code; what it was given is told by the matrix before it."""

    def __init__(self, form: Norm, eps: float = 1e-5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.form, self.eps = form, eps
        self.before, self.after = nn.Linear(32, 32), nn.Linear(32, 32)
        self.w, self.b = (nn.Parameter(1 + 0.2 * torch.randn(32)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.form(self.before(x), self.w, self.b, self.eps))


FED = {"x": torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("form", FORMS)
def test_an_eps_is_found_in_every_form(compare: Compare, form: str):
    (finding,) = compare(Plain(FORMS[form]), Plain(FORMS[form], 1e-3), FED).findings
    assert (finding.cause, finding.reference_value) == ("norm.eps", 1e-5)
    assert finding.candidate_value == pytest.approx(1e-3, rel=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_that_was_never_loaded_is_found_in_every_form(compare: Compare, form: str):
    reference, candidate = Plain(FORMS[form]), Plain(FORMS[form])
    nn.init.constant_(candidate.w, 0.0 if "1 +" in form or form == "power" else 1.0)
    (finding,) = compare(reference, candidate, FED).findings
    assert (finding.cause, finding.reference_value) == ("norm.weight_missing", "w")
    assert finding.candidate_value == "1 everywhere"


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("group_norm", "batch_norm")])
def test_the_other_kind_is_found_in_every_form(compare: Compare, form: str):
    is_layer = form in ("layer_norm", "deviation", "variance")

    def other(x: Tensor, w: Tensor, b: Tensor, eps: float) -> Tensor:
        if is_layer:
            return nn.functional.rms_norm(x, w.shape, w, eps) + b
        return FORMS[form](x - x.mean(-1, keepdim=True), w, b, eps)

    (finding,) = compare(Plain(FORMS[form]), Plain(other), FED).findings
    assert finding.cause == "norm.kind"
    assert finding.candidate_value == (KEPT if is_layer else TAKEN)


@pytest.mark.parametrize("form", FORMS)
def test_a_norm_left_out_is_found_in_every_form(compare: Compare, form: str):
    (finding,) = compare(Plain(FORMS[form]), Plain(lambda x, w, b, eps: x), FED).findings
    assert finding.cause == "norm.missing"


def test_the_eps_that_torch_takes_from_a_dtype_is_known(compare: Compare):
    reference = Plain(lambda x, w, b, eps: nn.functional.rms_norm(x, w.shape, w))
    candidate = Plain(FORMS["rms_norm"], 1e-4)
    (finding,) = compare(reference, candidate, FED).findings
    assert (finding.cause, finding.reference_value) == ("norm.eps", pytest.approx(1.19e-7, rel=0.01))


def test_another_matrixs_bias_is_no_norms_weight(compare: Compare):
    reference, candidate = build("bert"), build("bert")
    attention = candidate.encoder.layer[1].attention.self
    attention.query.bias.data.copy_(attention.key.bias.data)
    findings = compare(reference, candidate, inputs("bert")).findings
    assert findings
    assert not [one.cause for one in findings if one.cause.startswith("norm.")]


def test_a_weight_that_is_off_at_random_has_no_name(compare: Compare):
    reference, candidate = build("llama"), build("llama")
    noise = torch.randn(64, generator=torch.Generator().manual_seed(0))
    candidate.model.layers[1].input_layernorm.weight.data += 1e-3 * noise
    assert [one.cause for one in compare(reference, candidate, inputs("llama")).findings] == ["unknown"]
