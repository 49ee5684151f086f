"""`probe diff --weights`: the audit alone. It runs no model; 0 nothing suspicious, 1 something, 2 trouble."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import probe as probe_package
from tests.commands.running import TINY, Refused, Run
from tests.commands.tiny import build
from tests.ports import gemma, references

AUDIO = f"py:{Path(__file__).with_name('audio_encoder.py')}"


@pytest.fixture
def swapped(here: Path, probe: Run) -> tuple[str, str]:
    """The audio encoder of seed 002, and its conversion with two names inverted in every layer."""
    assert probe("dump", f"{AUDIO}:reference", "--tokens", "1,2,3,4", "-o", "audio.h5").code == 0
    words = ["--arg", "table=inverted", "--inputs", "audio.h5", "-o", "swapped.h5"]
    assert probe("dump", f"{AUDIO}:converted", *words).code == 0
    return "audio.h5", "swapped.h5"


def unloaded() -> nn.Module:
    """Gemma without a converter, as in seed 001: built, and used as it was initialized."""
    model = references.reference("gemma2")
    port = gemma.convert(model.state_dict(), model.config)
    torch.manual_seed(0)
    for name, weight in port.named_parameters():
        (nn.init.ones_ if "norm" in name else nn.init.xavier_uniform_)(weight)
    return port


def record(model: nn.Module, path: str) -> None:
    with torch.no_grad(), probe_package.record(model, path):
        model(references.prompts())


def test_equal_weights_are_one_line(reference: Path, probe: Run):
    outcome = probe("diff", reference, reference, "--weights")
    assert outcome.code == 0
    assert outcome.out.split() == ["NOTHING", "SUSPICIOUS", "in", "14", "weights", "others", "14", "equal"]


def test_a_model_at_fault_has_faultless_weights(reference: Path, faulty: Path, probe: Run):
    assert probe("diff", reference, faulty).code == 1
    assert probe("diff", reference, faulty, "--weights").code == 0


def test_seed_001_weights_that_were_never_loaded(here: Path, probe: Run):
    record(references.reference("gemma2"), "reference.h5")
    record(unloaded(), "candidate.h5")
    outcome = probe("diff", "reference.h5", "candidate.h5", "--weights")
    assert outcome.code == 1
    assert "WEIGHTS:  nothing loaded: " in outcome.out
    assert "nowhere in the candidate: was it converted and loaded at all" in " ".join(outcome.out.split())


def test_seed_001_s_converted_weights_are_fine(here: Path, probe: Run):
    model = references.reference("gemma2")
    record(model, "reference.h5")
    record(gemma.convert(model.state_dict(), model.config), "candidate.h5")
    outcome = probe("diff", "reference.h5", "candidate.h5", "--weights")
    assert outcome.code == 0, outcome.out
    assert "17 offset" in outcome.out
    assert "17 weights: plus 1" in outcome.out


def test_seed_002_norms_swapped_in_every_layer(swapped: tuple[str, str], probe: Run):
    outcome = probe("diff", *swapped, "--weights", "--json")
    assert outcome.code == 1
    [found] = [finding for finding in json.loads(outcome.out)["weights"] if finding["suspicious"]]
    assert found["kind"] == "swapped"
    assert found["reference"] == "layers.{i}.pre_layer_norm.weight"
    assert "and layers.{i}.conv_norm.weight are swapped in the candidate" in found["message"]
    assert len(found["weights"]) == 6


def test_seed_002_s_right_table_is_fine(swapped: tuple[str, str], probe: Run):
    assert probe("dump", f"{AUDIO}:converted", "--inputs", "audio.h5", "-o", "right.h5").code == 0
    outcome = probe("diff", "audio.h5", "right.h5", "--weights")
    assert outcome.code == 0, outcome.out


def test_what_is_suspicious_stands_above_the_verdict_once(reference: Path, probe: Run):
    model = build()
    with torch.no_grad():
        model.blocks[1].linear.weight.normal_(generator=torch.Generator().manual_seed(1))
        model.head.weight.zero_()
    with torch.no_grad(), probe_package.record(model, "unloaded.h5"):
        model(torch.tensor([[1, 2, 3, 4, 5]]))
    outcome = probe("diff", reference, "unloaded.h5", "--no-replay")
    lines = outcome.out.splitlines()
    verdict = next(number for number, line in enumerate(lines) if line.startswith(" DIVERGED"))
    assert [line for line in lines[:verdict] if line.startswith("WEIGHTS:")] == [
        "WEIGHTS:  never loaded: blocks.1.linear.weight was never loaded: none of the reference's rows is in it",
        "WEIGHTS:  never loaded: head.weight was never loaded: all 0",
    ]
    assert outcome.out.count("head.weight") == 1
    report = json.loads(probe("diff", reference, "unloaded.h5", "--no-replay", "--json").out)
    assert [f["weights"] for f in report["weights"] if f["suspicious"]] == [["blocks.1.linear.weight"], ["head.weight"]]


def test_the_mapping_s_remark_is_not_read_twice(here: Path, probe: Run):
    """Alignment says of a fused weight that another layer's are there; the audit says so too, and says more."""
    model = references.reference("gemma2")
    record(model, "reference.h5")
    port = gemma.convert(model.state_dict(), model.config)
    with torch.no_grad():
        port.get_parameter("layers.1.pre_ffw_norm.weight").fill_(1)
    record(port, "candidate.h5")
    out = probe("diff", "reference.h5", "candidate.h5", "--no-replay").out
    above = out.partition("DIVERGED")[0]
    assert "WEIGHTS:  never loaded: layers.1.pre_ffw_norm.weight" in above
    assert "does not hold the weights of" not in above


@pytest.mark.parametrize("words", [["--no-replay"], ["--reference", f"{TINY}:build"], ["--trust-remote-code"]])
def test_what_has_no_effect_on_an_audit_is_refused(words: list[str], reference: Path, refused: Refused):
    refusal = refused("diff", reference, reference, "--weights", *words)
    assert refusal.error == f"{words[0]} has no effect with --weights"


def test_a_dump_without_weights_is_trouble(here: Path, reference: Path, refused: Refused):
    model = nn.Sequential(nn.Identity())
    with probe_package.record(model, "empty.h5"):
        model(torch.ones(2))
    refusal = refused("diff", reference, "empty.h5", "--weights")
    assert refusal.error == "empty.h5 holds no weights to compare"
    assert "leave --weights away" in refusal.hint
