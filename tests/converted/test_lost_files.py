"""A GGUF file that was moved, deleted or changed since it was run: that is said, and nothing is blamed for it."""

from pathlib import Path

import pytest

import probe
from probe.cli import main
from probe.report import Report, Status, Verdict
from tests.converted.convert import contents, write
from tests.converted.models import tiny
from tests.converted.plants import another_eps, tensor_of_another_layer
from tests.converted.runs import CANDIDATE, REFERENCE, recorded


def without_its_file(name: str, folder: Path, **how: object) -> Report:
    model = recorded(name, folder, **how)
    (folder / "model.gguf").unlink()
    return probe.diff(folder / REFERENCE, folder / CANDIDATE, reference=model)


def warning(report: Report) -> str:
    [message] = [check.message for check in report.trust if check.check == "file"]
    return message


@pytest.mark.parametrize(
    ("name", "kind", "width"), [("llama", "Q8_0", 64), ("gemma", "Q4_0", 64), ("phi3", "Q4_K", 256)]
)
def test_what_only_the_file_could_tell_is_neither_blamed_nor_passed(name: str, kind: str, width: int, tmp_path: Path):
    report = without_its_file(name, tmp_path, kind=kind, width=width)
    assert report.verdict is Verdict.NOISE
    assert report.undecided
    assert {finding.cause for finding in report.findings} <= {"precision.compute"}
    quantized = {name for found in report.weights if found.kind == "quantized" for name in found.weights}
    assert len(report.unjudged) == len(quantized)
    assert f"its file is gone: it was looked for as {tmp_path / 'model.gguf'}" in warning(report)
    assert "cannot be judged without it (model.embed_tokens.weight and" in warning(report)


@pytest.mark.parametrize(("name", "kind"), [("llama", "F16"), ("gemma", "BF16"), ("llama", "F32")])
def test_types_that_the_dump_tells_by_itself_need_no_file(name: str, kind: str, tmp_path: Path):
    report = without_its_file(name, tmp_path, kind=kind)
    assert report.verdict is Verdict.NOISE
    assert not report.undecided
    assert {finding.cause for finding in report.findings} <= {"precision.storage", "precision.compute"}
    assert not [check for check in report.trust if check.status is not Status.OK]


@pytest.mark.parametrize(
    ("change", "cause"), [(another_eps, "norm.eps"), (tensor_of_another_layer, "unknown")], ids=["eps", "tensor"]
)
def test_a_bug_beside_what_cannot_be_judged_is_still_found(change, cause: str, tmp_path: Path):
    report = without_its_file("llama", tmp_path, kind="Q8_0", change=change)
    assert report.verdict is Verdict.DIVERGED
    assert {finding.cause for finding in report.findings} == {cause}
    assert report.unjudged


def test_a_file_that_was_moved_beside_the_dump_is_found_there(tmp_path: Path):
    folder, dumps = tmp_path / "models", tmp_path / "dumps"
    folder.mkdir()
    model = recorded("llama", folder, kind="Q8_0")
    dumps.mkdir()
    for name in (REFERENCE, CANDIDATE):
        (folder / name).rename(dumps / name)
    there = probe.diff(dumps / REFERENCE, dumps / CANDIDATE, reference=model)
    (folder / "model.gguf").rename(tmp_path / "archived.gguf")
    (dumps / "model.gguf").symlink_to(tmp_path / "archived.gguf")
    found = probe.diff(dumps / REFERENCE, dumps / CANDIDATE, reference=model)
    for report in (there, found):
        assert [finding.cause for finding in report.findings] == ["linear.quantized"]
        assert not report.undecided


def test_of_a_file_that_has_changed_what_is_the_same_is_used_and_the_rest_named(tmp_path: Path):
    model = recorded("llama", tmp_path, kind="Q8_0")
    made = contents(tiny("llama"))
    tensor_of_another_layer(made)
    write(made, tmp_path / "model.gguf", "Q8_0")
    report = probe.diff(tmp_path / REFERENCE, tmp_path / CANDIDATE, reference=model)
    assert report.unjudged == ("model.layers.1.mlp.down_proj:out",)
    assert "its file has changed since" in warning(report)
    assert "(model.layers.1.mlp.down_proj.weight)" in warning(report)
    assert [(one.cause, len(one.modules)) for one in report.findings] == [("linear.quantized", 22)]


def test_the_command_says_that_it_is_not_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recorded("llama", tmp_path, kind="Q8_0").save_pretrained(tmp_path / "model")
    (tmp_path / "model.gguf").unlink()
    paths = [str(tmp_path / name) for name in (REFERENCE, CANDIDATE)]
    assert main(["diff", *paths, "--reference", f"hf:{tmp_path / 'model'}", "-q"]) == 2
    said = capsys.readouterr()
    assert "NOISE  nothing is seen to differ by more than rounding; 23 places cannot be judged" in said.out
    assert "hint: do as the warning says" in said.err
