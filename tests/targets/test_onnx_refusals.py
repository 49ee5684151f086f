"""What is no graph, or cannot be run or fed, is told in one line; what crashes takes nothing else with it."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import probe
from probe.errors import ProbeError
from probe.targets import InputRequest, Target
from probe.targets import onnx as target
from probe.targets.onnx import session
from probe.targets.onnx.play import play
from probe.targets.runtime import Job
from tests.targets.onnx_graphs import VOCABULARY, language_model, value, with_cache

IDS = InputRequest(tokens="1,2,3")


def run(graph: Path, request: InputRequest = IDS, **how) -> list[str]:
    return play(Job(Target("onnx", str(graph)), request, graph.with_name("x.h5"), **how), lambda *told: None)


@pytest.mark.parametrize("size", [0, 10, 200, 400])
def test_a_part_of_a_file_is_refused(size: int, tmp_path: Path):
    graph = language_model(tmp_path / "x.onnx")
    graph.write_bytes(graph.read_bytes()[:size])
    with pytest.raises(ProbeError, match=r"no ONNX model|refuses the graph|cannot be read"):
        run(graph)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [({"op": "NoSuchOp"}, "NoSuchOp"), ({"opset": 9999}, "9999|opset"), ({"more_inputs": ("pixels",)}, "pixels")],
)
def test_what_cannot_be_run_is_told_in_one_line(how: dict, words: str, tmp_path: Path):
    with pytest.raises(ProbeError, match=words) as refusal:
        run(language_model(tmp_path / "x.onnx", **how))
    assert "\n" not in str(refusal.value)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(f"1,{VOCABULARY}", f"token id {VOCABULARY} is outside"), ("-1", "token id -1 is outside"), ("", "not one token")],
)
def test_tokens_that_cannot_be_looked_up_are_refused(tokens: str, words: str, tmp_path: Path):
    with pytest.raises(ProbeError, match=words):
        run(language_model(tmp_path / "x.onnx"), InputRequest(tokens=tokens))


def test_random_tokens_are_of_the_table(tmp_path: Path):
    run(language_model(tmp_path / "x.onnx"), InputRequest(num_random_tokens=50))
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.tap(":in.input_ids").statistics.maximum == VOCABULARY - 1


def test_what_nobody_gave_is_made_and_said(tmp_path: Path):
    notes = run(language_model(tmp_path / "x.onnx", more_inputs=("attention_mask", "position_ids")))
    assert any("attention_mask, which nobody gave: all ones" in note for note in notes)
    assert any("position_ids, which nobody gave: 0, 1, 2" in note for note in notes)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.read(dump.tap(":in.position_ids")).tolist() == [[0, 1, 2]]
        assert dump.read(dump.tap(":in.attention_mask")).tolist() == [[1, 1, 1]]


def moved_out(graph: Path, location: str) -> None:
    """Its weights lie in another file."""
    onnx.save(onnx.load(graph), graph, save_as_external_data=True, size_threshold=0, location="weights.bin")
    proto = onnx.load(graph, load_external_data=False)
    for tensor in proto.graph.initializer:
        entry = next(one for one in tensor.external_data if one.key == "location")
        entry.value = location
    onnx.save(proto, graph)


def test_weights_beside_the_graph_are_read(tmp_path: Path):
    graph = language_model(tmp_path / "x.onnx")
    moved_out(graph, "weights.bin")
    run(graph)
    with probe.open(tmp_path / "x.h5") as dump:
        assert [weight.name for weight in dump.weights] == ["embed.weight", "head.weight"]


def test_weights_that_are_too_large_for_one_message_are_handed_over_in_a_file(tmp_path: Path, monkeypatch):
    graph = language_model(tmp_path / "x.onnx")
    run(graph)
    with probe.open(tmp_path / "x.h5") as dump:
        expected = dump.read(dump.tap(":out.logits")).copy()
    monkeypatch.setattr(session, "LARGEST", 1)
    run(graph, force=True)
    with probe.open(tmp_path / "x.h5") as dump:
        assert np.array_equal(dump.read(dump.tap(":out.logits")), expected)


def test_weights_that_are_not_there_or_lie_outside_are_refused(tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    graph = language_model(folder / "x.onnx")
    moved_out(graph, "weights.bin")
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    with pytest.raises(ProbeError, match="which is not there"):
        run(graph)
    for location in ("../weights.bin", str(tmp_path / "weights.bin")):
        moved = onnx.load(graph, load_external_data=False)
        for tensor in moved.graph.initializer:
            next(one for one in tensor.external_data if one.key == "location").value = location
        onnx.save(moved, graph)
        with pytest.raises(ProbeError, match="outside of its folder"):
            run(graph)
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    moved = onnx.load(graph, load_external_data=False)
    for tensor in moved.graph.initializer:
        next(one for one in tensor.external_data if one.key == "location").value = "weights.bin"
    onnx.save(moved, graph)
    with pytest.raises(ProbeError, match="outside of its folder"):
        run(graph)


def test_steps_go_on_from_the_caches_that_a_graph_returns(tmp_path: Path):
    graph = with_cache(tmp_path / "x.onnx")
    run(graph, InputRequest(tokens="1,2,3,4"), chunk=2, decode=2)
    with probe.open(tmp_path / "x.h5") as dump:
        logits = [torch.from_numpy(dump.read(dump.tap(":out.logits", step)).copy()) for step in dump.steps]
        fed = [dump.inputs(step)["input_ids"][0].tolist() for step in dump.steps]
    assert [step.shape[1] for step in logits] == [2, 2, 1, 1]
    assert fed[2] == [[int(logits[1][0, -1].argmax())]]
    run(graph, InputRequest(tokens=",".join(str(token) for ids in fed for token in ids[0])), force=True)
    with probe.open(tmp_path / "x.h5") as dump:
        whole = torch.from_numpy(dump.read(dump.tap(":out.logits")).copy())
    torch.testing.assert_close(torch.cat(logits, 1), whole)


def test_steps_without_a_cache_and_caches_of_no_known_shape_are_refused(tmp_path: Path):
    with pytest.raises(ProbeError, match="takes no cache"):
        run(language_model(tmp_path / "x.onnx"), decode=2)
    with pytest.raises(ProbeError, match="does not say which axis the tokens are"):
        run(with_cache(tmp_path / "x.onnx", free=0 + 7))


def test_without_the_packages_the_one_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(target, "find_spec", lambda package: None)
    with pytest.raises(ProbeError, match="needs onnx and onnxruntime") as refusal:
        target.record(Job(Target("onnx", "x.onnx"), IDS, tmp_path / "x.h5"), lambda *told: None)
    assert refusal.value.hint == "pip install onnxruntime onnx"


def test_it_runs_in_a_process_of_its_own(tmp_path: Path):
    graph = language_model(tmp_path / "x.onnx")
    notes = target.record(Job(Target("onnx", str(graph)), IDS, tmp_path / "x.h5"), lambda *told: None)
    assert json.dumps(notes)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.complete
        assert dump.environment["versions"]["onnxruntime"]


@pytest.mark.parametrize(
    ("ending", "stage"),
    [
        (signal.SIGSEGV, "loading the graph"),
        (signal.SIGKILL, "running step 1"),
        (signal.SIGABRT, "writing step 1"),
    ],
)
def test_whatever_ends_its_process_is_told_and_takes_nothing_else_with_it(ending, stage: str, tmp_path: Path):
    def end(what: str, *_: object) -> None:
        if what == stage:
            (child,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            os.kill(int(child), ending)

    graph = with_cache(tmp_path / "x.onnx")
    job = Job(Target("onnx", str(graph)), InputRequest(tokens="1,2,3,4"), tmp_path / "x.h5", decode=400)
    with pytest.raises(ProbeError, match=f"ONNX Runtime was ended by {ending.name} after") as crash:
        target.record(job, end)
    assert not (tmp_path / "x.h5").exists()
    if stage == "writing step 1":
        assert crash.value.hint == f"what ran until then is in {tmp_path / 'x.h5.partial'}"


def test_a_graph_that_asks_for_more_memory_than_there_is_is_refused_in_one_line(tmp_path: Path):
    size = numpy_helper.from_array(np.array([1 << 46], np.int64), "size")
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"]),
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Slice", ["huge", "zero", "one"], ["little"]),
        helper.make_node("Add", ["numbers", "little"], ["sums"]),
    ]
    ends = [numpy_helper.from_array(np.array([end], np.int64), name) for end, name in enumerate(("zero", "one"))]
    graph = helper.make_graph(
        nodes,
        "huge",
        [value("input_ids", ["B", "T"], onnx.TensorProto.INT64)],
        [value("sums", ["B", "T"])],
        [size, *ends],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "x.onnx")
    with pytest.raises(ProbeError, match="ONNX Runtime") as refusal:
        target.record(Job(Target("onnx", str(tmp_path / "x.onnx")), IDS, tmp_path / "x.h5"), lambda *told: None)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "x.h5").exists()
