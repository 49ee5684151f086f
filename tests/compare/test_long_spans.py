"""A candidate that shows its ends alone: what is in all layers is found, and what is not tried is told."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import probe

CHANNELS, VOCABULARY, NUM_LAYERS = 16, 50, 16
IDS = torch.randint(VOCABULARY, (2, 6), generator=torch.Generator().manual_seed(0))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.up = nn.Linear(CHANNELS, 2 * CHANNELS)
        self.down = nn.Linear(2 * CHANNELS, CHANNELS)

    def forward(self, x_BTC):
        return x_BTC + self.down(F.gelu(self.up(self.norm(x_BTC))))


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.layers = nn.ModuleList(Layer() for _ in range(NUM_LAYERS))
        self.head = nn.Linear(CHANNELS, VOCABULARY, bias=False)

    def forward(self, ids):
        x_BTC = 0.03 * self.embed(ids)
        for layer in self.layers:
            x_BTC = layer(x_BTC)
        return self.head(x_BTC)


def build():
    torch.manual_seed(0)
    return Deep().eval()


@pytest.fixture
def diffed(tmp_path):
    """`diffed(change, shown)`: the report of a copy that `change` was done to, of which the taps `shown` are known; and
    what was told while it was made."""

    def compare(change, shown):
        model, copy = build(), build()
        with torch.no_grad():
            change(copy)
            for run, path, which in ((model, "ref.h5", []), (copy, "cand.h5", shown)):
                with probe.record(run, tmp_path / path, include=which, functional="none"):
                    run(IDS)
        stages = []
        report = probe.diff(
            tmp_path / "ref.h5",
            tmp_path / "cand.h5",
            reference=model,
            progress=lambda what, done, total: stages.append(what),
        )
        return report, stages

    return compare


def other_eps(which):
    def change(model):
        for number in which:
            model.layers[number].norm.eps = 1e-3

    return change


def test_what_all_layers_do_is_one_finding_with_all_of_them(diffed):
    report, _ = diffed(other_eps(range(NUM_LAYERS)), ["embed:out", "head:out"])
    [finding] = report.findings
    assert (finding.cause, finding.reference_value) == ("norm.eps", 1e-5)
    assert finding.candidate_value == pytest.approx(1e-3)
    assert finding.modules == tuple(f"layers.{number}.norm" for number in range(NUM_LAYERS))
    assert finding.share > 0.999
    assert not [note for note in report.notes if "not tried" in note]


def test_what_one_layer_of_two_does_is_not_said_of_the_other(diffed):
    report, _ = diffed(other_eps([3]), ["embed:out", "layers.1:out", "layers.3:out", "head:out"])
    [finding] = report.findings
    assert (finding.cause, finding.modules) == ("norm.eps", ("layers.3.norm",))


def test_of_a_bug_without_a_name_in_a_long_span_it_is_said_what_was_not_tried(diffed):
    def noise(model):
        weight = model.layers[8].up.weight
        weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))

    report, stages = diffed(noise, ["embed:out", "head:out"])
    assert [finding.cause for finding in report.findings] == ["unknown"]
    [note] = [note for note in report.notes if "not tried" in note]
    assert note.startswith("between embed:out and head:out ")
    assert "hypotheses (" in note
    assert f"a span of {1 + 4 * NUM_LAYERS + 1} modules is too long" in note
    assert any("hypotheses tried" in stage for stage in stages)
