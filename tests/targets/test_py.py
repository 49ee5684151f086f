"""py: targets: how the user's file is imported, and what its function may return."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from probe.errors import ProbeError
from probe.targets import Loaded, LoadOptions, load, parse

MODEL = """
import torch
from torch import nn

class Adds(nn.Module):
    def forward(self, x, y, scale=1):
        return x + scale * y
"""


def loaded(text: str, **arguments: Any) -> Loaded:
    Path("port.py").write_text(MODEL + text)
    return load(parse("py:port.py:build", arguments), LoadOptions())


def test_a_file_imports_its_neighbours():
    Path("neighbour_of_port.py").write_text("from torch import nn\nbuild_it = nn.Identity\n")
    model = loaded("from neighbour_of_port import build_it\ndef build():\n    return build_it()\n").model
    assert isinstance(model, torch.nn.Identity)


def test_a_file_s_dataclasses_work_though_nobody_imported_it():
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Sizes:\n    width: int = 3\n"
        "def build():\n    from torch import nn\n    return nn.Linear(Sizes().width, 1)\n"
    )
    Path("dataclassed.py").write_text(text)
    assert load(parse("py:dataclassed.py:build"), LoadOptions()).model.in_features == 3


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        ("torch.ones(2)", ["x"]),
        ("(torch.ones(2), torch.ones(2))", ["x", "y"]),
        ("[torch.ones(2), torch.ones(2), 3]", ["x", "y", "scale"]),
        ("{'y': torch.ones(2), 'x': torch.ones(2)}", ["y", "x"]),
    ],
)
def test_inputs_are_named_by_forward_s_parameters(returned: str, names: list[str]):
    inputs = loaded(f"def build():\n    return Adds(), {returned}\n").inputs
    assert inputs is not None
    assert list(inputs) == names


def test_more_inputs_than_forward_takes_are_refused():
    with pytest.raises(ProbeError, match="returned 4 inputs, but its forward takes 3"):
        loaded("def build():\n    return Adds(), (1, 2, 3, 4)\n")


def test_a_model_that_its_function_left_in_train_mode_stays_so():
    assert loaded("def build():\n    return Adds()\n").model.training
    assert not loaded("def build():\n    return Adds().eval()\n").model.training


def test_an_error_that_the_function_itself_words_for_the_user_is_passed_on():
    text = "from probe import ProbeError\ndef build(size):\n    raise ProbeError('no such size', 'small or large')\n"
    with pytest.raises(ProbeError, match=r"^no such size$") as raised:
        loaded(text, size="huge")
    assert raised.value.hint == "small or large"


def test_the_line_that_is_named_is_the_user_s_and_not_torch_s():
    text = "def build():\n    return nn.Linear(2, 2).load_state_dict({})\n"
    line = (MODEL + text).splitlines().index("    return nn.Linear(2, 2).load_state_dict({})") + 1
    with pytest.raises(ProbeError, match=rf"Missing key.* \(port.py, line {line}\)$") as raised:
        loaded(text)
    assert "\n" not in str(raised.value)


def test_a_module_that_was_there_before_keeps_its_name(monkeypatch: pytest.MonkeyPatch):
    import json

    Path("json.py").write_text("from torch import nn\ndef build():\n    return nn.Identity()\n")
    load(parse("py:json.py:build"), LoadOptions())
    assert sys.modules["json"] is json
