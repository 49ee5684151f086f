"""A port that nothing can be hooked into writes some arrays, and is a candidate like any other."""

from fnmatch import fnmatch

import numpy as np
import pytest
import torch

import probe
from probe.cli import main
from tests.ports.llama_numpy import run, weights_of
from tests.ports.references import prompts, reference

EVERYTHING = "*"
LAYERS = "model.layers.?:out"
"""What each layer returns, and nothing else: the modules have no classes and no insides."""


@pytest.fixture(scope="module")
def model():
    return reference("llama")


@pytest.fixture(scope="module")
def recorded(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "ref.h5"
    with torch.no_grad(), probe.record(model, path):
        model(input_ids=prompts())
    return path


@pytest.fixture
def diffed(model, recorded, tmp_path):
    """`diffed(bug, glob)`: the report of those arrays of the port, written and imported."""

    def compare(bug, glob):
        ids = prompts().numpy()
        told = run(weights_of(model), model.config, ids, bug)
        numbered = {
            f"{number:04d}_{tap}": array for number, (tap, array) in enumerate(told.items()) if fnmatch(tap, glob)
        }
        np.savez(tmp_path / "run.npz", **numbered, **{"inputs/input_ids": ids})
        assert main(["import", "npz", str(tmp_path / "run.npz"), "-o", str(tmp_path / "cand.h5"), "-q"]) == 0
        return probe.diff(recorded, tmp_path / "cand.h5", reference=model)

    return compare


@pytest.mark.parametrize(("glob", "num_pairs"), [(EVERYTHING, 84), (LAYERS, 11)])
def test_an_honest_port_is_noise(glob, num_pairs, diffed):
    report = diffed("", glob)
    assert report.verdict == "noise"
    assert not report.findings
    assert report.replayed
    assert len(report.taps) == num_pairs


@pytest.mark.parametrize(
    ("bug", "glob", "cause", "module", "start"),
    [
        ("eps", EVERYTHING, "norm.eps", "input_layernorm", "model.layers.0:out"),
        ("gate_up_swapped", EVERYTHING, "mlp.gate_up_swapped", "mlp", "model.layers.1.post_attention_layernorm:out"),
        ("eps", LAYERS, "norm.eps", "input_layernorm", "model.layers.0:out"),
        ("rope_theta", LAYERS, "rope.theta", "self_attn", "model.layers.0:out"),
    ],
)
def test_a_bug_is_named_and_its_span_begins_at_what_agreed(bug, glob, cause, module, start, diffed):
    report = diffed(bug, glob)
    [finding] = report.findings
    assert (finding.cause, finding.module) == (cause, f"model.layers.1.{module}")
    assert finding.span[0] == report.first.span[0] == start
    assert (glob == EVERYTHING) or "model.layers.1.self_attn.q_proj:out" in finding.uncaptured


def test_bfloat16_that_was_written_in_float32_is_noise_once_that_is_told(recorded, model, tmp_path, capsys):
    half = reference("llama", dtype=torch.bfloat16)
    with torch.no_grad(), probe.record(half, tmp_path / "bf16.h5", include=["*_proj:*", "lm_head:out"]):
        half(input_ids=prompts())
    with probe.open(tmp_path / "bf16.h5") as dump:
        arrays = {tap.name: dump.read(tap).astype("f4") for tap in dump.taps}
    np.savez(tmp_path / "run.npz", **arrays, **{"inputs/input_ids": prompts().numpy()})
    words = ["import", "npz", str(tmp_path / "run.npz"), "-o", str(tmp_path / "cand.h5"), "--force"]
    assert main(words) == 0
    assert "--computed-in bf16" in capsys.readouterr().err
    assert main([*words, "--computed-in", "bf16"]) == 0
    assert "--computed-in" not in capsys.readouterr().err
    report = probe.diff(recorded, tmp_path / "cand.h5", reference=model)
    assert (report.verdict, len(report.taps) > 40) == ("noise", True)
