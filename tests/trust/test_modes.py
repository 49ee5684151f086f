"""Train mode, dropout, and precision flags that differ."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import probe
from probe.dump import Dump
from probe.errors import ProbeError
from probe.report import Status
from tests.trust.conftest import Doubts, Recorded, only
from tests.trust.model import Model, build
from tests.trust.retelling import retold


def with_dropout(chance: float, *, training: bool) -> Model:
    model = build()
    model.model.layers[3].mix = nn.Sequential(model.model.layers[3].mix, nn.Dropout(chance))
    return model.train(training)


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_dropout_that_dropped_something_stops(side: str, recorded: Recorded, doubts: Doubts):
    dropping, still = with_dropout(0.5, training=True), with_dropout(0.5, training=False)
    pair = (dropping, still) if side == "reference" else (still, dropping)
    paths = recorded("reference", pair[0]), recorded("candidate", pair[1])
    said = only(doubts(*paths), "mode", Status.FAIL)
    assert said == f"dropout was on when the {side} ran: model.layers.3.mix.1 does not return what it was given"
    with pytest.raises(ProbeError, match="dropout was on") as raised:
        probe.diff(*paths, replay=False)
    assert "--trust-anyway" in str(raised.value.hint)
    report = probe.diff(*paths, replay=False, trust_anyway=True)
    assert [check.check for check in report.trust if check.status is Status.FAIL] == ["mode"]


def test_train_mode_in_which_nothing_was_dropped_is_only_warned_of(recorded: Recorded, doubts: Doubts):
    paths = (
        recorded("reference", with_dropout(0.0, training=False)),
        recorded("candidate", with_dropout(0.0, training=True)),
    )
    assert only(doubts(*paths), "mode", Status.WARN).startswith("the candidate ran in train mode (the model)")


def test_dropout_in_eval_mode_and_a_lone_activation_in_train_mode_pass(recorded: Recorded, doubts: Doubts):
    model = with_dropout(0.5, training=False)
    model.model.layers[3].mix.append(nn.Identity())
    assert model.model.layers[3].mix[2].training
    assert doubts(recorded("reference", model), recorded("candidate", model)) == {}


def ran_under(source: Path, path: Path, **changes: Any) -> Path:
    with Dump(source) as dump:
        environment = dump.environment | changes
    return retold(source, path, environment=environment)


ON = {"matmul": True, "cudnn": False}
OFF = {"matmul": False, "cudnn": False}
SUMS = {"fp16": True, "bf16": True}


@pytest.mark.parametrize(
    ("mine", "other", "said"),
    [
        ({"device": "cuda:0", "tf32": ON}, {"device": "cuda:0", "tf32": OFF}, "TF32 in matrix products on against off"),
        (
            {"device": "cuda:0", "reduced_precision": SUMS},
            {"device": "cuda:0", "reduced_precision": SUMS | {"bf16": False}},
            "bf16 sums in bf16 products on against off",
        ),
        ({"autocast": False}, {"autocast": True}, "autocast off against on"),
        (
            {"float32_matmul_precision": "highest"},
            {"float32_matmul_precision": "medium"},
            "float32_matmul_precision highest against medium",
        ),
    ],
)
def test_hidden_flags_that_differ(mine, other, said, reference: Path, tmp_path: Path, doubts: Doubts):
    pair = ran_under(reference, tmp_path / "a.h5", **mine), ran_under(reference, tmp_path / "b.h5", **other)
    assert only(doubts(*pair), "precision", Status.WARN) == f"the two ran under other precision flags: {said}"


def test_flags_of_a_gpu_that_neither_used_and_equal_ones_pass(reference: Path, tmp_path: Path, doubts: Doubts):
    on_cpu = [ran_under(reference, tmp_path / f"{k}.h5", tf32=tf32) for k, tf32 in enumerate((ON, OFF))]
    assert doubts(*on_cpu) == {}
    gpu = [ran_under(reference, tmp_path / f"{k}.h5", device="cuda:0", tf32=ON) for k in range(2)]
    assert doubts(*gpu) == {}


def test_another_dtype_and_kernel_are_said_without_doubt(reference: Path, tmp_path: Path):
    other = ran_under(reference, tmp_path / "b.h5", dtype="bfloat16", attention="sdpa")
    mine = ran_under(reference, tmp_path / "a.h5", attention="eager")
    [check] = [check for check in probe.diff(mine, other, replay=False).trust if check.check == "precision"]
    assert check.status is Status.OK
    assert check.message == "the two ran with dtype float32 against bfloat16, attention eager against sdpa"


def test_a_dump_of_another_tool_without_environment_passes(reference: Path, tmp_path: Path, doubts: Doubts):
    assert doubts(reference, retold(reference, tmp_path / "b.h5", environment={})) == {}


def test_batch_norm_in_train_mode_is_minded(tmp_path: Path):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
    model[1].train()
    for path in (tmp_path / "a.h5", tmp_path / "b.h5"):
        with torch.no_grad(), probe.record(model, path):
            model(torch.ones(3, 4))
    trust = probe.diff(tmp_path / "a.h5", tmp_path / "b.h5", replay=False).trust
    assert [check.check for check in trust if check.status is Status.WARN][:2] == ["mode", "mode"]
