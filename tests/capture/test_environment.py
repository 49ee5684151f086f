"""What a run ran on is in its dump, as JSON, whatever the model and the caller have set."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import probe
from probe.capture.environment import config, environment
from tests.capture.models import fed
from tests.dump.small import in_new_process


class Configured(nn.Linear):
    def __init__(self, own):
        super().__init__(4, 4)
        self.config = own


def test_versions_dtype_device_and_mode_are_told():
    found = environment(nn.Sequential(nn.Linear(2, 2), nn.Dropout()).bfloat16())
    assert torch.__version__.startswith(found["versions"]["torch"])
    assert (found["dtype"], found["device"], found["attention"]) == ("bfloat16", "cpu", None)
    assert found["training"] == ["", "0", "1"]
    assert json.loads(json.dumps(found)) == found


def test_the_most_common_dtype_is_the_models():
    model = nn.Sequential(nn.Linear(2, 2).half(), nn.LayerNorm(2))
    model.register_parameter("extra", nn.Parameter(torch.zeros(2, dtype=torch.float16)))
    assert environment(model)["dtype"] == "float16"
    assert environment(nn.ReLU())["dtype"] == "float32"


def test_evaluation_mode_and_autocast_are_told():
    with torch.autocast("cpu", torch.bfloat16):
        assert environment(nn.Linear(2, 2).eval())["autocast"] is True
    assert environment(nn.Linear(2, 2).eval())["autocast"] is False
    assert environment(nn.Linear(2, 2).eval())["training"] == []


NEW_FLAGS = """
import sys, torch, probe
torch.backends.cuda.matmul.fp32_precision = "tf32"
try:
    torch.get_float32_matmul_precision()
except RuntimeError:
    print("refused")
model = torch.nn.Linear(4, 4)
with probe.record(model, sys.argv[1]):
    model(torch.ones(4))
"""


def test_a_program_that_sets_the_new_precision_flags_can_be_recorded(tmp_path):
    """torch then refuses to say what its older flags are."""
    ended = in_new_process(NEW_FLAGS, tmp_path / "x.h5")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "refused\n", "")
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.environment["float32_matmul_precision"] is None
        assert dump.environment["fp32_precision"]["matmul"] == "tf32"


def circular():
    own = {"name": "x"}
    own["self"] = own
    return own


CONFIGS = {
    "none": (None, None),
    "an object": (SimpleNamespace(eps=1e-6, layers=2), {"eps": 1e-6, "layers": 2}),
    "one with to_dict": (SimpleNamespace(to_dict=lambda: {"dtype": torch.float16}), {"dtype": "torch.float16"}),
    "keys that JSON has not": (SimpleNamespace(to_dict=lambda: {("a", 1): 2, "b": 3}), {"b": 3}),
    "one that holds itself": (SimpleNamespace(to_dict=circular), "{'name': 'x', 'self': {...}}"),
    "without attributes": (7, None),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_any_configuration_becomes_json_and_never_stops_a_recording(tmp_path, kind):
    own, expected = CONFIGS[kind]
    model = Configured(own)
    assert config(model) == expected
    with probe.record(model, tmp_path / "x.h5", target={"kind": "py", "place": "x.py:build"}):
        model(fed())
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.attribute("config") == expected
        assert dump.attribute("target") == {"kind": "py", "place": "x.py:build"}
        assert dump.environment["dtype"] == "float32"
