"""norm.*, where the norm is a line of the model's own code, in every form that it is written in."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compare

TAKEN, KEPT = "the mean is taken off", "the mean is not taken off"
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
