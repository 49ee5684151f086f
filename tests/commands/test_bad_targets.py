"""Models that cannot be found, loaded or run. None of them leaves a file under the dump's name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused


@pytest.fixture(autouse=True)
def no_dump_appears() -> Iterator[None]:
    yield
    assert not Path("x.h5").exists()


def test_a_factory_that_raises_is_quoted_with_its_line_in_one_line(refused: Refused):
    refusal = refused("dump", f"{TINY}:raising", "--tokens", "1", "-o", "x.h5")
    line = 1 + Path(TINY.removeprefix("py:")).read_text().splitlines().index(
        '    raise FileNotFoundError("no weights.bin\\nin this folder")'
    )
    assert refusal.error == (
        f"{TINY}:raising raised FileNotFoundError: no weights.bin in this folder (tiny.py, line {line})"
    )
    assert "nn.Module" in refusal.hint


def test_a_factory_that_exits_with_0_is_no_success(refused: Refused):
    assert "raised SystemExit: 0" in refused("dump", f"{TINY}:leaving", "--tokens", "1", "-o", "x.h5").error


def test_a_factory_that_returns_no_module_is_told_what_it_returned(refused: Refused):
    refusal = refused("dump", f"{TINY}:no_module", "--tokens", "1", "-o", "x.h5")
    assert refusal.error == f"{TINY}:no_module returned dict, not an nn.Module"


def test_a_function_that_is_missing_is_answered_with_those_that_are_there(refused: Refused):
    refusal = refused("dump", f"{TINY}:nothing", "--tokens", "1", "-o", "x.h5")
    assert refusal.error.endswith("tiny.py has no function 'nothing'")
    assert refusal.hint.startswith("it has Block, Model,")  # its own alone, not nn or Tensor


def test_a_file_that_is_missing_is_named(refused: Refused, here: Path):
    assert refused("dump", "py:nothing.py:build", "-o", "x.h5").error == f"{here}/nothing.py: no such file"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package' (broken.py, line 1)"),
        ("def build(:", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("raise SystemExit(0)", "SystemExit: 0 (broken.py, line 1)"),
    ],
)
def test_a_file_that_does_not_import_is_quoted_with_its_line(text: str, reason: str, refused: Refused, here: Path):
    Path("broken.py").write_text(text)
    refusal = refused("dump", "py:broken.py:build", "--tokens", "1", "-o", "x.h5")
    assert refusal.error == f"cannot import {here}/broken.py: {reason}"
    assert f"python {here}/broken.py" in refusal.hint


def test_a_package_that_is_not_installed_is_named(refused: Refused):
    refusal = refused("dump", "py:no_such_package:build", "--tokens", "1", "-o", "x.h5")
    assert refusal.error == ("cannot import no_such_package: ModuleNotFoundError: No module named 'no_such_package'")


def test_a_model_whose_forward_raises_is_quoted_with_its_line_and_keeps_what_ran(refused: Refused):
    refusal = refused("dump", f"{TINY}:raising_in_forward", "--tokens", "1", "-o", "x.h5")
    assert "raised RuntimeError while it was recorded: no kernel for this device (tiny.py, line" in refusal.error
    assert refusal.hint.endswith("probe show x.h5.partial")
    assert Path("x.h5.partial").is_file()


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("tflite:model", "'tflite:model' is no target"),
        ("tiny.py", "'tiny.py' is no target"),
        ("py:build", "'py:build' is no target"),
        ("hf:", "'hf:' is no target"),
        (".", "'.' is no target; did you mean hf:.?"),
    ],
)
def test_an_unknown_kind_of_target_is_answered_with_the_known_ones(target: str, error: str, refused: Refused):
    refusal = refused("dump", target, "--tokens", "1", "-o", "x.h5")
    assert refusal.error == error
    known = "hf:DIR-or-ID, py:FILE.py:FUNCTION, py:package.module:FUNCTION, gguf:FILE or onnx:FILE"
    assert refusal.hint == f"a target is {known}"


@pytest.mark.parametrize("flag", ["--dtype", "--device"])
def test_an_unknown_dtype_or_device_is_named(flag: str, refused: Refused):
    refusal = refused("dump", f"{TINY}:build", "--tokens", "1", "-o", "x.h5", flag, "float3")
    assert "'float3'" in refusal.error
    assert refusal.hint.startswith(("one of fp32", "try --device cpu"))
