"""A backward pass that is recorded gives bit for bit the gradients that it gives without anybody looking."""

import copy
import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import probe
from tests.capture.models import MODELS, built, fed
from tests.capture.test_no_trace import assert_bare
from tests.capture.trained import TRAINED, loss_of, trained


def tensors(result):
    return [leaf for leaf in torch.utils._pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def watched(model, path, yes):
    return probe.record(model, path, gradients=True) if yes else nullcontext()


def assert_no_hook_on(*all_tensors):
    for tensor in all_tensors:
        assert not tensor._backward_hooks
        assert not tensor._post_accumulate_grad_hooks


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_transformers_models(tmp_path, name, dtype):
    found = []
    for yes in (False, True):
        model = trained(name, dtype=dtype)
        with watched(model, tmp_path / "x.h5", yes):
            loss = loss_of(model, name)
            loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert_no_hook_on(loss, *model.parameters())
    for own, other in zip(*found, strict=True):
        assert (own is None and other is None) or torch.equal(own, other)


WITHOUT_GRADIENT = {"returning nothing", "returning a number", "in place"}
"""The last writes into what autograd needs."""


@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITHOUT_GRADIENT])
def test_of_models_of_every_kind(tmp_path, name):
    found = []
    for yes in (False, True):
        torch.manual_seed(7)
        model, x = built(name).train(), fed().requires_grad_()
        with watched(model, tmp_path / "x.h5", yes):
            returned = [one for one in tensors(model(x * 1)) if one.requires_grad]
            for _ in range(2):
                sum(one.abs().sum() for one in returned).backward(retain_graph=True)
        found.append([x.grad, *(parameter.grad for parameter in model.parameters())])
    assert_bare(model)
    assert_no_hook_on(x, *returned, *model.parameters())
    for own, other in zip(*found, strict=True):
        assert (own is None and other is None) or torch.equal(own, other)


def test_the_optimizer_takes_the_same_steps(tmp_path):
    found = []
    for yes in (False, True):
        model = built("block").eval()
        optimizer = torch.optim.AdamW(model.parameters(), 0.1)
        with watched(model, tmp_path / "x.h5", yes):
            for step in range(3):
                optimizer.zero_grad()
                checkpoint(model, fed() + step, use_reentrant=False).square().mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
                optimizer.step()
        found.append(copy.deepcopy(list(model.parameters())))
    for own, other in zip(*found, strict=True):
        assert torch.equal(own, other)


def test_hooks_of_others_on_tensors_and_parameters_stay_and_are_called_as_often(tmp_path):
    calls = []
    for yes in (False, True):
        model, counted = nn.Linear(4, 4), []
        model.weight.register_post_accumulate_grad_hook(lambda _, counted=counted: counted.append("weight"))
        with watched(model, tmp_path / "x.h5", yes):
            y = model(fed())
            y.register_hook(lambda gradient, counted=counted: counted.append("output") or gradient * 2)
            y.sum().backward(retain_graph=True)
        y.sum().backward()
        calls.append(counted)
        assert len(model.weight._post_accumulate_grad_hooks) == 1
    assert calls[0] == calls[1] == ["output", "weight"] * 2
    with probe.open(tmp_path / "x.h5") as dump:
        assert (dump[":grad.out"] == 2).all()


def test_a_backward_pass_after_the_block_is_not_looked_at(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with probe.record(model, tmp_path / "x.h5", gradients=True):
        y = model(fed())
    y.sum().backward()
    assert_no_hook_on(y, *model.parameters())
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.gradients == []


def test_an_exception_in_the_backward_pass_is_the_users_and_leaves_no_hook(tmp_path):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.view_as(x)

        @staticmethod
        def backward(context, gradient):
            raise ZeroDivisionError

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].register_forward_pre_hook(lambda _, args: (Broken.apply(args[0]),))
    with pytest.raises(ZeroDivisionError), probe.record(model, tmp_path / "x.h5", gradients=True):
        model(fed()).sum().backward()
    assert_no_hook_on(*model.parameters())
    with probe.open(tmp_path / "x.h5.partial") as dump:
        assert not dump.complete
        assert dump.gradients[-1].module == "1"


def test_outputs_are_not_kept_alive(tmp_path):
    model, seen = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), []
    model[0].register_forward_hook(lambda _, args, output: seen.append(weakref.ref(output)))
    gc.disable()
    try:
        with probe.record(model, tmp_path / "x.h5", gradients=True):
            model(fed())
            assert seen[0]() is None
    finally:
        gc.enable()


def test_gradients_of_gradients_are_those_without(tmp_path):
    found = []
    for yes in (False, True):
        model, x = nn.Sequential(*[built("leaf"), nn.Tanh(), built("leaf")]), fed().requires_grad_()
        with watched(model, tmp_path / "x.h5", yes):
            (gradient,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
            gradient.square().sum().backward()
        found.append([x.grad, *(parameter.grad for parameter in model.parameters())])
    for own, other in zip(*found, strict=True):
        assert (own is None and other is None) or torch.equal(own, other)
