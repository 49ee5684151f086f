"""What record(gradients=True) writes down of a backward pass: autograd's own numbers, under the call they belong to."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import probe
from probe.errors import ProbeError
from tests.capture.models import Shared
from tests.capture.trained import TRAINED, loss_of, recorded, trained


class Twice(nn.Module):
    """What the first layer returns is used twice, once in place."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        y = self.first(x)
        return self.second(y) * y


class Rectified(nn.Module):
    """Writes into what the layer returned, without needing what it was."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.linear(x)) * 3


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.before, self.block = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4))
        self.reentrant = reentrant

    def forward(self, x):
        y = self.before(x)
        return self.block(y) if self.reentrant is None else checkpoint(self.block, y, use_reentrant=self.reentrant)


def x_of(seed=0):
    return torch.randn(2, 4, generator=torch.Generator().manual_seed(seed))


def made(kind, *arguments):
    torch.manual_seed(0)
    return kind(*arguments)


def gradients(path):
    with probe.open(path) as dump:
        return {(tap.step, tap.name): torch.from_numpy(dump.read(tap).copy()) for tap in dump.gradients}


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_and_output_has_autograds_own_gradient(tmp_path, name):
    """`torch.autograd.grad` of a second model is the judge."""
    model = trained(name)
    recorded(model, name, tmp_path / "x.h5")
    found = gradients(tmp_path / "x.h5")
    for parameter, value in model.named_parameters(remove_duplicate=False):
        module, _, leaf = parameter.rpartition(".")
        if value.grad is not None:
            assert torch.equal(found.pop((0, f"{module}:grad.{leaf}")), value.grad), parameter
    judge, outputs = trained(name), {}

    def keep(module_name):
        def hook(module, args, output):
            outputs.setdefault(module_name, output)

        return hook

    for module_name, module in judge.named_modules():
        module.register_forward_hook(keep(module_name))
    loss = loss_of(judge, name)
    checked = 0
    for (_, tap), gradient in found.items():
        module_name, _, port = tap.partition(":")
        output = outputs.get(module_name)
        if port == "grad.out" and isinstance(output, torch.Tensor):
            (expected,) = torch.autograd.grad(loss, output, retain_graph=True)
            assert torch.equal(gradient, expected), tap
            checked += 1
    assert checked > 10
    assert any(tap.endswith("grad.out.logits") for _, tap in found)


def test_the_order_is_that_of_the_backward_pass(tmp_path):
    model = made(nn.Sequential, nn.Linear(4, 4), nn.Linear(4, 4))
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of()).sum().backward()
    with probe.open(tmp_path / "x.h5") as dump:
        names = [tap.name for tap in dump.gradients]
        orders = [tap.order for tap in (*dump.taps, *dump.gradients)]
        assert not any(tap.is_gradient for tap in dump.taps)
        assert not any(tap.is_input or tap.is_returned for tap in dump.gradients)
    assert orders == list(range(len(orders)))
    assert names.index("1:grad.out") < names.index("1:grad.weight") < names.index("0:grad.out")
    assert names.index("0:grad.out") < names.index("0:grad.weight")


def test_an_output_that_is_used_twice_has_the_sum(tmp_path):
    model, x = made(Twice), x_of()
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x).sum().backward()
    y = model.first(x).detach().requires_grad_()
    (model.second(y) * y).sum().backward()
    found = gradients(tmp_path / "x.h5")
    assert torch.equal(found[0, "first:grad.out"], y.grad)


def test_an_output_that_is_changed_in_place_has_the_gradient_of_what_was_returned(tmp_path):
    model, x = made(Rectified), x_of()
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x).sum().backward()
    found, y = gradients(tmp_path / "x.h5"), model.linear(x)
    assert 0 < (y > 0).sum() < 8
    assert torch.equal(found[0, "linear:grad.out"], 3.0 * (y > 0))
    assert torch.equal(found[0, "relu:grad.out"], torch.full((2, 4), 3.0))


def test_a_shared_layer_has_one_gradient_a_call_and_its_weight_one_under_each_name(tmp_path):
    model = made(Shared)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of()).sum().backward()
    found = gradients(tmp_path / "x.h5")
    assert {name for _, name in found if "grad.out" in name} == {
        ":grad.out", "first:grad.out", "first@1:grad.out", "first@2:grad.out"
    }  # fmt: skip
    for name in ("first", "second"):
        assert torch.equal(found[0, f"{name}:grad.weight"], model.first.weight.grad)


def test_a_second_backward_pass_has_names_of_its_own(tmp_path):
    model = made(nn.Linear, 4, 4)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        y = model(x_of())
        y.sum().backward(retain_graph=True)
        first = model.weight.grad.clone()
        (2 * y).sum().backward()
    found = gradients(tmp_path / "x.h5")
    assert torch.equal(found[0, ":grad.out"] * 2, found[0, ":grad@1.out"])
    assert torch.equal(found[0, ":grad.weight"], first)
    assert torch.equal(found[0, ":grad@1.weight"], model.weight.grad)


@pytest.mark.parametrize("in_turn", [True, False])
def test_gradients_are_of_the_step_whose_backward_pass_it_was(tmp_path, in_turn):
    model = made(nn.Sequential, nn.Linear(4, 4), nn.Tanh())
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        losses, expected = [], []
        for step in range(2):
            losses.append(model(x_of(step)).sum())
            if in_turn:
                losses[step].backward()
                expected.append(model[0].weight.grad.clone())
        for loss in [] if in_turn else losses:
            loss.backward()
            expected.append(model[0].weight.grad.clone())
    found = gradients(tmp_path / "x.h5")
    for step in range(2):
        assert torch.equal(found[step, "0:grad.weight"], expected[step])
        assert (step, "0:grad.out") in found
    assert not any("grad@" in name for _, name in found)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_checkpointed_has_the_gradients_that_it_has_without(tmp_path, reentrant):
    paths = tmp_path / "plain.h5", tmp_path / "again.h5"
    for path, how in zip(paths, (None, reentrant), strict=True):
        model = made(Checkpointed, how)
        with probe.record(model, path, gradients=True):
            model(x_of()).sum().backward()
    plain, again = map(gradients, paths)
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[key], again[key]) for key in plain)
    with probe.open(paths[0]) as one, probe.open(paths[1]) as other:
        assert [tap.name for tap in one.taps] == [tap.name for tap in other.taps]


def test_of_two_calls_that_are_run_again_it_is_said_that_they_cannot_be_told_apart(tmp_path):
    class Both(Checkpointed):
        def forward(self, x):
            return super().forward(super().forward(x))

    model = made(Both, True)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of()).sum().backward()
    assert not any(name.startswith("block.2") and name.endswith("out") for _, name in gradients(tmp_path / "x.h5"))
    with probe.open(tmp_path / "x.h5") as dump:
        reason = dump.attribute("notes")["skipped"]["block.2:grad.out"]
    assert reason == "one of 2 calls was run again, and it is not known which"


def test_what_is_frozen_has_none(tmp_path):
    model = made(nn.Sequential, nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of()).sum().backward()
    assert {name for _, name in gradients(tmp_path / "x.h5")} == {
        ":grad.out",
        "1:grad.out",
        "1:grad.weight",
        "1:grad.bias",
    }


def test_a_sparse_gradient_is_left_out_with_words(tmp_path):
    model = made(lambda: nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 4)))
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(torch.arange(3)).sum().backward()
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.attribute("notes")["skipped"] == {"0:grad.weight": "layout torch.sparse_coo"}


def test_include_and_exclude_hold_for_gradients_too(tmp_path):
    model = made(nn.Sequential, nn.Linear(4, 4), nn.Linear(4, 4))
    with probe.record(model, tmp_path / "x.h5", gradients=True, include=["1"], exclude=["1:grad.bias", "1:in"]):
        model(x_of()).sum().backward()
    with probe.open(tmp_path / "x.h5") as dump:
        assert [tap.name for tap in dump.taps] == ["1:out"]
    assert {name for _, name in gradients(tmp_path / "x.h5")} == {"1:grad.out", "1:grad.weight"}


def test_a_gradient_in_bfloat16_is_stored_bit_for_bit(tmp_path):
    model = made(nn.Linear, 4, 4).to(torch.bfloat16)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of().bfloat16()).float().square().sum().backward()
    with probe.open(tmp_path / "x.h5") as dump:
        bits = dump.bits(dump.tap(":grad.weight"))
    assert np.array_equal(bits, model.weight.grad.view(torch.int16).numpy().view(np.uint16))


@pytest.mark.parametrize(
    ("quietly", "why"),
    [
        (False, "no backward pass ran inside the block"),
        (True, "nothing that ran required a gradient: it is frozen, or"),
    ],
)
def test_without_a_backward_pass_the_dump_says_so(tmp_path, quietly, why):
    model = made(nn.Linear, 4, 4).requires_grad_(not quietly)
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        model(x_of())
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.complete
        assert dump.gradients == []
        assert dump.attribute("notes")["gradients"].startswith(why)


def test_gradients_without_autograd_are_refused(tmp_path):
    refused = pytest.raises(ProbeError, match=r"no gradients under torch\.no_grad")
    with torch.no_grad(), refused, probe.record(nn.Linear(4, 4), tmp_path / "x.h5", gradients=True):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == []
