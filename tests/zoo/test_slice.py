"""A slice of the zoo: what `make zoo` runs in full."""

import pytest
import torch

from probe.report import Verdict
from tests.conftest import Compare
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.bugs import PLANTED

SLICE = Size(hidden=64, layers=2, tokens=17)


@pytest.mark.parametrize("name", ["qwen3", "mixtral", "gpt2", "whisper"])
def test_honest_runs_are_not_blamed(compare: Compare, name):
    reference, fed = build(name, SLICE, 3), inputs(name, SLICE, 3)
    sdpa = compare(reference, build(name, SLICE, 3, "sdpa"), fed)
    assert sdpa.verdict is Verdict.NOISE
    small = {key: value.bfloat16() if value.is_floating_point() else value for key, value in fed.items()}
    bf16 = compare(reference, build(name, SLICE, 3).to(torch.bfloat16), fed, candidate_inputs=small)
    assert bf16.verdict is Verdict.NOISE


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: f"{bug.architecture}-{bug.name}".replace(" ", "-"))
def test_a_planted_bug_is_found_at_its_module(compare: Compare, bug):
    size = Size(layers=3, tokens=19)
    reference, candidate = build(bug.architecture, size, 5), build(bug.architecture, size, 5)
    bug.plant(candidate)
    report = compare(reference, candidate, inputs(bug.architecture, size, 5))
    assert report.verdict is Verdict.DIVERGED
    assert report.first is not None
    assert report.first.module in bug.modules
