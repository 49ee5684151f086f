"""Targets' names as people write them."""

from pathlib import Path

import pytest

from probe.errors import ProbeError
from probe.targets import LoadOptions, Target, load, parse, read_arguments
from probe.targets.target import RUNTIMES


def test_a_file_is_kept_by_its_whole_path_so_that_it_is_found_from_elsewhere(here: Path):
    assert parse("py:models/port.py:build") == Target("py", f"{here}/models/port.py:build")


def test_an_importable_module_is_kept_as_it_is():
    assert parse("py:package.module:build", {"bugs": ""}) == Target("py", "package.module:build", {"bugs": ""})


def test_a_folder_is_kept_by_its_whole_path_and_a_hub_id_as_it_is(here: Path):
    Path("tiny").mkdir()
    assert parse("hf:tiny") == Target("hf", f"{here}/tiny")
    assert parse("hf:org/tiny") == Target("hf", "org/tiny")


def test_home_is_found_behind_the_colon_where_no_shell_looks(monkeypatch: pytest.MonkeyPatch, here: Path):
    monkeypatch.setenv("HOME", str(here))
    Path("tiny").mkdir()
    assert parse("hf:~/tiny") == Target("hf", f"{here}/tiny")
    assert parse("py:~/port.py:build") == Target("py", f"{here}/port.py:build")


@pytest.mark.parametrize("text", ["", "py", "py:", "py:build", "hf:", "gguf:", "tflite:x", "port.py:build"])
def test_anything_else_is_no_target(text: str):
    with pytest.raises(ProbeError, match="is no target"):
        parse(text)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_a_runtimes_target_is_a_file_that_is_there(kind: str, here: Path):
    Path("tiny").touch()
    assert parse(f"{kind}:tiny", {"threads": 2}) == Target(kind, f"{here}/tiny", {"threads": 2})
    with pytest.raises(ProbeError, match="nothing: no such file"):
        parse(f"{kind}:nothing")
    with pytest.raises(ProbeError, match="is a folder"):
        parse(f"{kind}:.")
    with pytest.raises(ProbeError, match="is no PyTorch model"):
        load(parse(f"{kind}:tiny"), LoadOptions())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x=3", 3),
        ("x=1e-5", 1e-5),
        ("x=True", True),
        ("x=None", None),
        ("x=[1, 'a']", [1, "a"]),
        ("x=eager", "eager"),
        ("x='3'", "3"),
        ("x=", ""),
        ("x=a=b", "a=b"),
        ("x=__import__('os')", "__import__('os')"),
    ],
)
def test_a_value_is_a_python_literal_where_it_reads_as_one_and_else_text(text: str, value: object):
    [read] = read_arguments([text]).values()
    assert (read, type(read)) == (value, type(value))
