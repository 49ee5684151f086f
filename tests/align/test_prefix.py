"""A model inside another: all of its names stand behind one prefix, on either side."""

import torch
from torch import nn

from probe.align.prefix import behind_prefix
from tests.conftest import Compare


class Wrapper(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def stack(seed: int = 0) -> nn.Module:
    """Activations have no weights that could tell them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8), nn.GELU(approximate="tanh"))


def test_a_wrapped_model_is_matched_by_its_names_on_either_side(compare: Compare):
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    model = stack()
    for pair in ((model, Wrapper(model)), (Wrapper(model), model)):
        report = compare(
            *pair, {"x": x} if isinstance(pair[0], Wrapper) else {"input": x}, candidate_inputs=_fed(pair[1], x)
        )
        assert report.verdict == "identical"
        modules = {row.reference.rpartition(":")[0].removeprefix("model.") for row in report.taps}
        assert modules >= {"0", "1", "2", "3"}


def test_an_activation_that_is_another_one_is_found_at_its_place_behind_the_prefix(compare: Compare):
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    other = stack()
    other[1] = nn.GELU(approximate="tanh")
    report = compare(stack(), Wrapper(other), {"input": x}, candidate_inputs={"x": x})
    assert [(finding.module, finding.cause) for finding in report.findings] == [("1", "mlp.activation")]


def _fed(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"x" if isinstance(model, Wrapper) else "input": x}


def test_two_models_that_share_some_names_have_no_prefix():
    ours = ["", "a.norm", "a.linear", "b.norm", "b.linear"]
    assert behind_prefix(ours, ["", "m.a.norm", "n.a.linear", "m.b.norm"], ours[1:]) == {}
    assert behind_prefix(ours, [f"m.{name}" for name in ours], ours[1:])["a.norm"] == "m.a.norm"
    assert behind_prefix(ours, ["a.norm", "m.b.norm", "m.b.linear", "m.a.linear", "m.a.norm"], ours[1:]) == {}
