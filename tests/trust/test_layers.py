"""Layers that stand for the wrong ones, one buffer read for all, stale steps, tensors that were never filled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import probe
from probe.align.pairs import align
from probe.dump import Dump
from probe.errors import ProbeError
from probe.report import Status
from probe.tap import Tap
from probe.trust.layers import layers_in_order
from tests.trust.conftest import Doubts, Recorded, only
from tests.trust.model import build, ids
from tests.trust.retelling import instead, retold, the_same_as


def test_every_layer_holds_the_final_buffer(reference: Path, tmp_path: Path, doubts: Doubts):
    """kekzl/imp 1275: decode ran as a captured graph, and every layer's dump was what its buffer held at the end."""

    def last(dump: Dump, tap: Tap) -> Any:
        head, _, layer = tap.module.partition("model.layers.")
        inner = layer.partition(".")[2]
        name = f"model.layers.11{'.' + inner if inner else ''}:{tap.port}"
        return dump.bits(dump.tap(name, tap.step)) if layer and not head else dump.bits(tap)

    captured = retold(reference, tmp_path / "b.h5", last)
    doubt = doubts(reference, captured)["layers"]
    assert doubt.status is Status.FAIL
    assert "is the same tensor in all 12 layers, and the reference's is not" in doubt.message
    with pytest.raises(ProbeError, match="graph capture") as raised:
        probe.diff(reference, captured, replay=False)
    assert "without graph capture" in str(raised.value.hint)


def test_layers_that_do_nothing_are_a_bug_to_be_found_and_no_reason_to_stop(
    reference: Path, recorded: Recorded, doubts: Doubts
):
    idle = build()
    for layer in idle.model.layers:
        torch.nn.init.zeros_(layer.mix.weight)
        torch.nn.init.zeros_(layer.mix.bias)
        torch.nn.init.ones_(layer.norm.weight)
    found = doubts(reference, recorded("candidate", idle))
    assert found["layers"].status is Status.WARN
    assert "its layers do nothing, or they were read after the run" in found["layers"].message
    assert all(doubt.status is Status.WARN for doubt in found.values())


def test_layer_1_for_layer_10(reference: Path, doubts: Doubts, tmp_path: Path):
    table = tmp_path / "prefix.toml"
    table.write_text(
        '[[pair]]\nreference = "model.layers.1"\ncandidate = "model.layers.10"\n'
        '[[pair]]\nreference = "model.layers.1.mix"\ncandidate = "model.layers.10.mix"\n'
    )
    found = {check.check: check for check in probe.diff(reference, reference, table=table, replay=False).trust}
    assert found["layers"].status is Status.WARN
    both = "model.layers.1.mix by model.layers.10.mix and model.layers.2.mix by model.layers.2.mix"
    assert f"layers do not pair in order: {both}" in found["layers"].message


def renamed(source: Path, path: Path, name: Any) -> Path:
    """`source` with other layers' names: those of a library that counts otherwise."""
    import re
    from dataclasses import replace

    from probe.dump import DumpWriter

    def told(text: str) -> str:
        return re.sub(r"layers\.(\d+)", lambda found: name(int(found[1])), text)

    with Dump(source) as dump, DumpWriter(path) as writer:
        writer.describe(environment=dump.environment, config=dump.attribute("config"))
        weights = [replace(w, name=told(w.name), module=told(w.module)) for w in dump.weights]
        values = {
            told(w.name): (v, w.dtype) for w in dump.weights if (v := dump.weight_value(w.name, w.dtype)) is not None
        }
        writer.add_weights(weights, dump.sketches, values)
        for input_name, (bits, dtype) in dump.inputs().items():
            writer.add_input(0, input_name, bits, dtype)
        for tap in dump.taps:
            writer.add(tap._replace(name=told(tap.name), module=told(tap.module)), dump.bits(tap))
    return path


@pytest.mark.parametrize(
    "name",
    [
        lambda i: f"h.{i + 1}",
        lambda i: f"layer_{i}",
        lambda i: f"stages.{i // 4}.layers.{i % 4}",
        lambda i: f"h.{i}",
    ],
    ids=["from one", "layer_1", "stages", "h.1"],
)
def test_layers_that_are_counted_otherwise_pair_in_order(name: Any, reference: Path, tmp_path: Path):
    other = renamed(reference, tmp_path / "b.h5", name)
    with Dump(reference) as ours, Dump(other) as theirs:
        mapping = align(ours, theirs)
        assert sum("mix" in pair.reference.module for pair in mapping.pairs) == 24
        assert list(layers_in_order(ours, theirs, mapping)) == []


def test_a_layer_that_is_not_given_what_the_one_before_returned(reference: Path, tmp_path: Path, doubts: Doubts):
    other = retold(reference, tmp_path / "b.h5", instead({"model.layers.7:in": the_same_as("model.layers.4:in")}))
    said = doubts(reference, other)["chain"].message
    assert "in the candidate, model.layers.7:in is not model.layers.6:out: they differ by" in said
    assert said.endswith("in the reference they are the same tensor")
    assert "in the reference, model.layers.7:in is not" in doubts(other, reference)["chain"].message


def test_a_cast_between_layers_passes(reference: Path, tmp_path: Path, doubts: Doubts):
    def rounded(dump: Dump, tap: Tap) -> Any:
        return (dump.bits(tap).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    names = {f"model.layers.{layer}:in": rounded for layer in range(1, 12)}
    assert "chain" not in doubts(reference, retold(reference, tmp_path / "b.h5", instead(names)))


STEPS = tuple({"input_ids": ids(seed, num_tokens=1)} for seed in range(3))


def test_a_tensor_of_an_earlier_step(recorded: Recorded, tmp_path: Path, doubts: Doubts):
    """A buffer that is read before the step has written it: kekzl/imp 1275 within one decode step and the next."""

    def late(dump: Dump, tap: Tap) -> Any:
        stale = tap.step == 2 and tap.name == "model.layers.3.mix:out"
        return dump.bits(dump.tap(tap.name, 1) if stale else tap)

    source = recorded("reference", None, *STEPS)
    said = only(doubts(source, retold(source, tmp_path / "b.h5", late)), "stale", Status.WARN)
    assert said.startswith("the candidate's model.layers.3.mix:out is in step 2 what it was in step 1: was its buffer")


def test_a_recording_that_stands_still_stops(recorded: Recorded, tmp_path: Path, doubts: Doubts):
    def still(dump: Dump, tap: Tap) -> Any:
        return dump.bits(tap if tap.is_input else dump.tap(tap.name, 0))

    source = recorded("reference", None, *STEPS)
    found = doubts(source, retold(source, tmp_path / "b.h5", still))
    assert found["stale"].status is Status.FAIL
    assert "such taps)" in found["stale"].message


def test_steps_on_the_same_input_are_not_stale(recorded: Recorded, doubts: Doubts):
    pair = [recorded(f"{k}", None, STEPS[0], STEPS[0], STEPS[1]) for k in range(2)]
    assert doubts(*pair) == {}


@pytest.mark.parametrize(("value", "said"), [(0, "is all zero"), (-1, "is -1 everywhere")])
def test_a_buffer_that_was_never_filled(value, said, reference: Path, tmp_path: Path, doubts: Doubts):
    """tenstorrent/tt-metal 54519: what was compared had never run, and held -1 everywhere."""
    empty = instead({"model.layers.3.mix:out": lambda dump, tap: np.full_like(dump.bits(tap), value)})
    message = only(doubts(reference, retold(reference, tmp_path / "b.h5", empty)), "filled", Status.WARN)
    assert message == f"the candidate's model.layers.3.mix:out {said}, and the other side's is not: was it recorded?"


def test_nothing_that_was_ever_filled_stops(reference: Path, tmp_path: Path, doubts: Doubts):
    def empty(dump: Dump, tap: Tap) -> Any:
        return np.zeros_like(dump.bits(tap)) if tap.dtype == "float32" else dump.bits(tap)

    assert doubts(reference, retold(reference, tmp_path / "b.h5", empty))["filled"].status is Status.FAIL


@pytest.mark.parametrize("value", [0, -1])
def test_nothing_that_was_filled_on_either_side_is_not_called_identical(
    value: int, reference: Path, tmp_path: Path, doubts: Doubts
):
    """tenstorrent/tt-metal 54519: a comparison that never ran, its sentinel equal to itself everywhere."""

    def empty(dump: Dump, tap: Tap) -> Any:
        return np.full_like(dump.bits(tap), value) if tap.dtype == "float32" else dump.bits(tap)

    pair = [retold(reference, tmp_path / f"{k}.h5", empty) for k in range(2)]
    said = only(doubts(*pair), "filled", Status.FAIL)
    assert said.endswith("outputs compared holds one value, on both sides: did anything run?")
    with pytest.raises(ProbeError, match="did anything run"):
        probe.diff(*pair, replay=False)


def test_zeros_on_both_sides_pass(reference: Path, tmp_path: Path, doubts: Doubts):
    empty = instead({"model.layers.3.mix:out": lambda dump, tap: np.zeros_like(dump.bits(tap))})
    pair = [retold(reference, tmp_path / f"{k}.h5", empty) for k in range(2)]
    assert "filled" not in doubts(*pair)
