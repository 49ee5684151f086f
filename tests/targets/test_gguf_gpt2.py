"""A graph of an older kind: norms with a mean and biases, one matrix for query, key and value, learned positions."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers

import probe
from probe.dump import Dump
from tests.converted.convert import Contents, write
from tests.converted.models import tokens
from tests.targets.gguf_runs import dumped

SIZES = {"context_length": 64, "embedding_length": 64, "block_count": 2, "feed_forward_length": 256, "vocab_size": 256}


def gpt2() -> transformers.GPT2LMHeadModel:
    config = transformers.GPT2Config(
        vocab_size=256, n_positions=64, n_embd=64, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def contents(model: transformers.GPT2LMHeadModel) -> Contents:
    """Its linear layers are [in, out] in transformers."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, 2)
    tensors = {}
    for name, tensor in model.transformer.state_dict(prefix="transformer.").items():
        is_turned = name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        values = tensor.numpy().T if is_turned else tensor.numpy()
        tensors[names.get_name(name, try_suffixes=(".weight", ".bias"))] = np.ascontiguousarray(values)
    keys = {**SIZES, "attention.head_count": 4, "attention.layer_norm_epsilon": 1e-5}
    return Contents("gpt2", keys, tensors)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("transformer.wpe", "position_embd"),
        ("transformer.h.1.ln_1", "blk.1.attn_norm"),
        ("transformer.h.1.attn.c_attn", "blk.1.attn_qkv"),
        ("transformer.h.1.mlp.c_proj", "blk.1.ffn_down"),
        ("transformer.h.1", "blk.1"),
        ("transformer.ln_f", "output_norm"),
        ("lm_head", "output"),
    ],
)
def test_modules_with_biases_are_given_and_return_what_transformers_are(dumps: Path, ours: str, theirs: str):
    with Dump(dumps / "ref.h5") as reference, Dump(dumps / "m.h5") as candidate:
        for port in ("in", "out"):
            expected, found = reference[f"{ours}:{port}"], candidate[f"{theirs}:{port}"]
            assert found.shape == expected.shape
            assert np.square(found - expected).sum() <= 1e-6 * np.square(expected).sum(), port


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ref.h5 and m.h5."""
    folder = tmp_path_factory.mktemp("gpt2")
    model = gpt2()
    with torch.no_grad(), probe.record(model, folder / "ref.h5"):
        model(tokens(12))
    dumped(write(contents(model), folder / "m.gguf"), tokens(12)).close()
    return folder


def test_the_product_before_a_bias_is_a_function_of_the_module(dumps: Path):
    with Dump(dumps / "m.h5") as dump:
        added = dump["blk.0.ffn_up:out"] - dump["blk.0.ffn_up.@mul_mat:out"]
        np.testing.assert_allclose(
            added, np.broadcast_to(gpt2().transformer.h[0].mlp.c_fc.bias.detach(), (1, 12, 256)), atol=1e-5
        )
