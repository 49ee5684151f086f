"""The weight table is measured once, and again as soon as a weight is another one."""

import pytest
import torch
from torch import nn

import probe
from probe.capture.weights import weight_table
from tests.capture.models import fed


def model():
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))


def hashes(built):
    return {weight.name: weight.statistics.hash for weight in weight_table(built).weights}


def edit(weight):
    with torch.no_grad():
        weight[..., -1] += 1


CHANGES = {
    "in place": lambda m: edit(m[0].weight),
    "in place, a vector": lambda m: edit(m[1].weight),
    "through data": lambda m: m[1].weight.data.mul_(2),
    "through data, one element": lambda m: m[1].bias.data[2].add_(1e-6),
    "through data, a small matrix": lambda m: m[0].weight.data[1, 2].add_(1e-6),
    "data replaced": lambda m: setattr(m[0].weight, "data", torch.ones(3, 4)),
    "parameter replaced": lambda m: setattr(m[0], "weight", nn.Parameter(torch.ones(3, 4))),
    "module replaced": lambda m: m.__setitem__(0, nn.Linear(4, 3)),
    "module added": lambda m: m.append(nn.Linear(3, 3)),
    "weights loaded": lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}),
    "weights assigned": lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}, assign=True),
    "another dtype": lambda m: m.bfloat16(),
    "a step of training": lambda m: train(m),
    "tied": lambda m: setattr(m[1], "bias", m[1].weight),
}


def train(built):
    built(fed()).square().sum().backward()
    torch.optim.SGD(built.parameters(), lr=0.1).step()


def test_an_unchanged_model_is_measured_once():
    built = model()
    assert weight_table(built) is weight_table(built)
    built(fed())
    built.eval()
    assert weight_table(built) is weight_table(built)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_weight_is_measured_again(change):
    built = model()
    before = weight_table(built)
    old = hashes(built)
    CHANGES[change](built)
    assert weight_table(built) is not before
    assert hashes(built) != old


def test_two_equal_models_have_tables_of_their_own():
    one, other = model(), model()
    other.load_state_dict(one.state_dict())
    assert weight_table(one) is not weight_table(other)
    assert hashes(one) == hashes(other)


def test_the_values_of_a_table_do_not_follow_the_weights():
    built = model()
    table = weight_table(built)
    edit(built[1].weight)
    assert table.values["1.weight"][0].tolist() == [1, 1, 1]


def test_weights_made_under_inference_mode_are_compared_by_their_values():
    with torch.inference_mode():
        built = model()
        before = weight_table(built)
        assert weight_table(built) is before
        built[1].weight.mul_(2)
        assert weight_table(built) is not before


def test_a_model_that_is_gone_leaves_nothing_behind():
    from probe.capture.weights import _seen

    built = model()
    weight_table(built)
    count = len(_seen)
    del built
    assert len(_seen) == count - 1


def test_each_dump_has_the_weights_of_its_own_run(tmp_path):
    built = model()
    for name in ("before.h5", "after.h5"):
        with probe.record(built, tmp_path / name):
            built(fed())
        edit(built[1].weight)
    with probe.open(tmp_path / "before.h5") as before, probe.open(tmp_path / "after.h5") as after:
        assert before.weight_value("1.weight", "float32").tolist() == [1, 1, 1]
        assert after.weight_value("1.weight", "float32").tolist() == [1, 1, 2]
