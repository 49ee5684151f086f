"""What two dumps tell of their runs, and what is said where they tell nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from probe.dump import DumpWriter
from probe.render.runs import Run, run_of, side_by_side, without_folders
from probe.tap import Tap

PY = {"kind": "py", "place": "port.py:build", "arguments": {"gain": 2}}


def recorded(path: Path, **attributes) -> Run:
    told = {"target": None, "environment": {}, "config": None} | attributes
    with DumpWriter(path, force=True) as writer:
        writer.describe(**told)
        writer.add(Tap("a:out", "a", "A", 0, "out", 0, 0, (2,), "float32"), np.ones(2, np.float32))
    return run_of(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@pytest.mark.parametrize("program", ["probe", "__main__.py"])
def test_the_command_that_recorded_is_told_as_a_shell_takes_it(path, program):
    words = [program, "dump", "py:port.py:build", "--prompt", "it's"]
    run = recorded(path, target=PY, environment={"command": words})
    assert run.command == "probe dump py:port.py:build --prompt 'it'\"'\"'s'"
    assert run.recorded == ""


@pytest.mark.parametrize(
    ("target", "command", "told"),
    [
        (PY, ["pytest", "-q"], "py:port.py:build --arg gain=2; the command is not in the dump"),
        (PY, ["__main__.py", "serve"], "py:port.py:build --arg gain=2; the command is not in the dump"),
        (PY, None, "py:port.py:build --arg gain=2; the command is not in the dump"),
        (None, ["train.py", "--lr", "1"], "from Python, with probe.record, by: train.py --lr 1"),
        (None, None, "from Python, with probe.record"),
        (None, "dump", "from Python, with probe.record"),
        (["py"], ["probe", 3], "from Python, with probe.record"),
    ],
)
def test_no_command_is_invented(path, target, command, told):
    run = recorded(path, target=target, environment={"command": command})
    assert (run.command, run.recorded) == ("", told)


def test_an_import_is_told_as_one(path):
    run = recorded(path, environment={"imported": {"from": "/run.npz"}, "command": ["probe", "dump", "x"]})
    assert (run.command, run.recorded) == ("", "not known: imported from run.npz")


def test_settings_are_told_by_dotted_names_and_what_is_not_set_is_not(path):
    environment = {"tf32": {"matmul": False, "cudnn": None}, "versions": {"torch": "2"}, "dtype": "bfloat16"}
    facts = recorded(path, environment=environment, config={"rope": {"theta": 1e4}, "layers": [1, 2]}).facts
    assert (
        facts.items()
        >= {
            "tf32.matmul": "false",
            "versions.torch": "2",
            "dtype": "bfloat16",
            "config.rope.theta": "10000.0",
            "config.layers": "[1, 2]",
            "holds": "1 taps, 0 weights",
        }.items()
    )
    assert "tf32.cudnn" not in facts


@pytest.mark.parametrize(
    "attributes",
    [
        {"target": {"kind": 3, "arguments": [1]}, "environment": {"versions": 3}, "config": "x"},
        {"environment": [1, 2], "config": [3]},
        {"config": json.loads('{"a":' * 900 + "1" + "}" * 900)},
    ],
)
def test_attributes_that_are_none_that_a_run_has_do_no_harm(path, attributes):
    run = recorded(path, **attributes)
    assert run.facts or run.missing


def test_only_what_both_tell_differs():
    reference, candidate = Run("r", {"a": "1", "b": "1", "c": "1"}), Run("c", {"d": "1", "b": "2", "a": "1"})
    found = side_by_side(reference, candidate)
    assert [(one.name, one.differs, one.is_told_twice) for one in found] == [
        ("a", False, True),
        ("b", True, True),
        ("c", False, False),
        ("d", False, False),
    ]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("py:/home/me/ports/port.py:build --arg file=/home/me/x.json", "py:port.py:build --arg file=x.json"),
        ("hf:/home/me/model", "hf:model"),
        ("/home/me/model", "model"),
        ("not known: imported from /home/me/run.npz", "not known: imported from run.npz"),
        ("https://host/a/b and/or a/b", "https://host/a/b and/or a/b"),
    ],
)
def test_nobodys_home_folder_is_told(told, shown):
    assert without_folders(told) == shown


def test_a_run_tells_no_folder_of_its_target_or_config(path):
    run = recorded(path, target={**PY, "place": "/home/me/port.py:build"}, config={"_name_or_path": "/home/me/model"})
    assert run.facts["model"] == "py:port.py:build --arg gain=2"
    assert run.facts["config._name_or_path"] == "model"
    assert "/home" not in run.recorded
