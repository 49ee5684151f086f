"""Ports name every tensor of a call, and with others put in their place a container stays what it was."""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.capture.structure import input_tensors, output_tensors, replace_inputs, replace_outputs
from tests.capture.containers import Answer, Pair, Plain


def one(number):
    return torch.full((2,), number)


@dataclass
class Counted:
    values: torch.Tensor
    count: int = field(default=0, init=False)


LEAVES = st.integers(0, 9).map(one) | st.none() | st.integers() | st.text(max_size=3)
OUTPUTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", 3]), inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.builds(Plain, inner)
    ),
    max_leaves=8,
)


def tensors_of(value):
    """In order; and the same in any other structure."""
    return [tensor for _, tensor in output_tensors(value)]


@settings(deadline=None)
@given(output=OUTPUTS)
def test_no_two_tensors_of_an_output_share_a_port(output):
    ports = [port for port, _ in output_tensors(output)]
    assert len(set(ports)) == len(ports)
    assert all(port == "out" or port.startswith("out.") for port in ports)


@settings(deadline=None)
@given(first=OUTPUTS, second=OUTPUTS, keyword=OUTPUTS)
def test_no_two_tensors_of_a_call_share_a_port(first, second, keyword):
    ports = [port for port, _ in input_tensors((first, second), {"keyword": keyword})]
    assert len(set(ports)) == len(ports)
    assert all(port == "in" or port.startswith("in.") for port in ports)


@settings(deadline=None)
@given(output=OUTPUTS)
def test_replacing_visits_the_ports_that_recording_names(output):
    seen = []
    replaced = replace_outputs(output, lambda port, tensor: seen.append((port, tensor)) or tensor + 100)
    assert [port for port, _ in seen] == [port for port, _ in output_tensors(output)]
    assert all(new is old for (_, new), (_, old) in zip(seen, output_tensors(output), strict=True))
    for new, old in zip(tensors_of(replaced), tensors_of(output), strict=True):
        assert torch.equal(new, old + 100)
    assert type(replaced) is type(output)


@settings(deadline=None)
@given(output=OUTPUTS)
def test_replacing_nothing_returns_the_very_object(output):
    assert replace_outputs(output, lambda port, tensor: tensor) is output


CONTAINERS = {
    "named tuple": Pair(one(0), "text"),
    "model output": Answer(logits=one(0), states=(one(1), one(2))),
    "frozen dataclass": Plain(one(0), count=7),
    "dataclass with a field that __init__ does not take": Counted(one(0)),
    "ordered dict": OrderedDict(b=one(0), a=one(1)),
    "default dict": defaultdict(list, {1: one(0), "x": one(1)}),
    "what torch.max returns": torch.max(torch.eye(3), dim=0),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_container_stays_of_its_kind_and_the_old_one_as_it_was(kind):
    value = CONTAINERS[kind]
    before = tensors_of(value)
    replaced = replace_outputs(value, lambda port, tensor: -tensor.float())
    assert type(replaced) is type(value)
    assert all(torch.equal(new, -old.float()) for new, old in zip(tensors_of(replaced), before, strict=True))
    assert all(now is old for now, old in zip(tensors_of(value), before, strict=True))


def test_what_is_not_a_tensor_is_kept():
    changed = replace_outputs(CONTAINERS["frozen dataclass"], lambda port, tensor: tensor + 1)
    assert changed.count == 7
    defaults = replace_outputs(CONTAINERS["default dict"], lambda port, tensor: tensor + 1)
    assert (defaults["new"], list(defaults)[:2]) == ([], [1, "x"])
    answer = replace_outputs(CONTAINERS["model output"], lambda port, tensor: tensor + 1)
    assert answer.logits is answer["logits"]
    assert answer.loss is None


def test_one_port_alone_can_be_replaced():
    args, kwargs = replace_inputs(
        (one(0), (one(1), one(2))), {"x": one(3)}, lambda port, tensor: one(9) if port == "in.1.1" else tensor
    )
    found = {port: int(tensor[0]) for port, tensor in input_tensors(args, kwargs)}
    assert found == {"in": 0, "in.1.0": 1, "in.1.1": 9, "in.x": 3}


def test_objects_that_are_no_containers_are_opaque():
    class Cache:
        def __init__(self):
            self.keys = one(1)

    cache = Cache()
    assert tensors_of((cache, one(2)))[0].tolist() == [2, 2]
    assert replace_outputs(cache, lambda port, tensor: tensor + 1) is cache
