"""A model's results are bit for bit those that it gives without anybody looking."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils import _pytree as pytree
from transformers import LlamaConfig, LlamaForCausalLM

import probe
from tests.capture.models import MODELS, Keywords, built, fed

MODES = {
    "with gradients": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def bits(result):
    """Every tensor's bytes, and everything else as it is; with the structure."""
    leaves, structure = pytree.tree_flatten(result)
    return [_bytes(leaf) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves], structure


def _bytes(tensor):
    plain = tensor.detach().resolve_conj().contiguous()
    return tensor.shape, tensor.dtype, tensor.stride(), bytes(plain.reshape(-1).view(torch.uint8).tolist())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_the_result_is_the_same_bit_for_bit(tmp_path, name, mode):
    results, inputs = [], []
    for watched in (False, True, False):
        model = built(name).eval()
        x = fed()
        with MODES[mode](), probe.record(model, tmp_path / "x.h5") if watched else nullcontext():
            results.append(bits(model(x)))
        inputs.append(bits(x))
    assert results[0] == results[1] == results[2]
    assert inputs[0] == inputs[1]  # where the model writes into its input, it still does so once


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["block", "in place", "nested", "returning a model output"])
def test_in_other_precisions_too(tmp_path, name, dtype):
    results = []
    for watched in (False, True):
        model = built(name, dtype=dtype).eval()
        with torch.no_grad(), probe.record(model, tmp_path / "x.h5") if watched else nullcontext():
            results.append(bits(model(fed(dtype))))
    assert results[0] == results[1]


def test_dropout_draws_the_same_numbers_in_train_mode(tmp_path):
    results = []
    for watched in (False, True):
        model = built("block").train()
        with probe.record(model, tmp_path / "x.h5") if watched else nullcontext():
            results.append(bits((model(fed()), torch.rand(3))))
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["block", "shared", "nested", "convolution", "leaf"])
def test_a_backward_pass_gives_the_same_gradients(tmp_path, name):
    gradients = []
    for watched in (False, True):
        model, x = built(name), fed().requires_grad_()
        torch.manual_seed(3)
        with probe.record(model, tmp_path / "x.h5") if watched else nullcontext():
            pytree.tree_leaves(model(x))[0].sum().backward()
        gradients.append(bits([x.grad, *(weight.grad for weight in model.parameters())]))
    assert gradients[0] == gradients[1]


@pytest.mark.parametrize("mask", [None, torch.tensor([1.0, 0.0, 1.0, 0.0])], ids=["no mask", "mask"])
def test_keywords_alone_are_handed_on(tmp_path, mask):
    model = Keywords()
    expected = model(x=fed(), mask=mask, scale=2.0)
    with probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(x=fed(), mask=mask, scale=2.0), expected)


def test_a_transformer_generates_the_same_tokens(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, eos_token_id=None, **sizes)).eval()
    asked = {"max_new_tokens": 5, "do_sample": False, "output_scores": True, "return_dict_in_generate": True}
    prompt = {"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    expected = model.generate(**prompt, **asked)
    with probe.record(model, tmp_path / "x.h5"):
        found = model.generate(**prompt, **asked)
    assert torch.equal(expected.sequences, found.sequences)
    assert bits(expected.scores) == bits(found.scores)
    with probe.open(tmp_path / "x.h5") as dump:
        assert dump.steps == [0, 1, 2, 3, 4]
