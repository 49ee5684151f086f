"""A port that nothing can be hooked into writes some arrays, and is a candidate like any other."""

import numpy as np
import pytest
import torch

import probe
from probe.cli import main
from tests.ports.llama_numpy import run, weights_of
from tests.ports.references import prompts, reference

CAUSES = {
    "eps": "norm.eps",
    "rope_theta": "rope.theta",
    "scale": "attn.scale",
    "gate_up_swapped": "mlp.gate_up_swapped",
    "norms_swapped": "norm.weight_swapped",
    "causal_off_by_one": "attn.causal",
}


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
    """`diffed(bug)`: the report of the port's arrays, written and imported."""

    def compare(bug=""):
        ids = prompts().numpy()
        told = run(weights_of(model), model.config, ids, bug)
        numbered = {f"{number:04d}_{tap}": array for number, (tap, array) in enumerate(told.items())}
        np.savez(tmp_path / "run.npz", **numbered, **{"inputs/input_ids": ids})
        assert main(["import", "npz", str(tmp_path / "run.npz"), "-o", str(tmp_path / "cand.h5"), "-q"]) == 0
        return probe.diff(recorded, tmp_path / "cand.h5", reference=model)

    return compare


def test_an_honest_port_is_noise(diffed):
    report = diffed()
    assert report.verdict == "noise"
    assert not report.findings
    assert report.replayed
    assert len(report.taps) > 60


@pytest.mark.parametrize(("bug", "cause"), CAUSES.items())
def test_a_bug_is_named(bug, cause, diffed):
    report = diffed(bug)
    assert {finding.cause for finding in report.findings} == {cause}
    assert report.findings[0].module.startswith("model.layers.1")
