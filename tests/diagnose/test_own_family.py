"""A family of hypotheses that a user hands over: it names what nothing else does, and nothing that others name."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probe.diagnose.case import Case
from probe.diagnose.edits import operand
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.values import ADD
from probe.report import Verdict
from tests.conftest import Compare


class Gated(nn.Module):
    """down(act(gate(x)) * (up(x) + shift))."""

    def __init__(self, shift: float = 1.0) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(32, 16)
        self.shift, self.act = shift, F.silu
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) / 4)

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(x)
        return self.down(self.act(self.gate(x)) * (up + self.shift if self.shift else up))


def shift_lost(case: Case) -> Iterator[Hypothesis]:
    for call in case.program.calls:
        if call.name in ADD and call.args[1:] == (1.0,):
            yield Hypothesis(
                "mlp.activation", lambda _, call=call: Plan({call: operand(call)}), lambda _: "nothing is added to up"
            )


X = {"x": torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(1))}


def test_a_family_of_one_s_own_names_what_was_unknown(compare: Compare):
    without = compare(Gated(), Gated(shift=0.0), X)
    assert [finding.cause for finding in without.findings] == ["unknown"]
    (named,) = compare(Gated(), Gated(shift=0.0), X, families=[shift_lost]).findings
    assert (named.cause, named.message) == ("mlp.activation", "nothing is added to up")
    assert named.share is not None
    assert named.share > 0.999


def test_it_does_not_trigger_on_an_honest_pair_nor_on_another_bug(compare: Compare):
    honest = Gated()
    honest.act = lambda gate: gate * torch.sigmoid(gate)
    report = compare(Gated(), honest, X, families=[shift_lost])
    assert (report.verdict, report.findings) == (Verdict.NOISE, ())
    other = Gated()
    other.act = F.gelu
    (named,) = compare(Gated(), other, X, families=[shift_lost]).findings
    assert named.candidate_value == "GELU (erf)"
