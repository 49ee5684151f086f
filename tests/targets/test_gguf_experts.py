"""A graph with experts: the matrices of all of them are one module, the choice lies in functions of the layer."""

from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

import probe
from probe.dump import Dump
from tests.converted.convert import Contents, interleaved, write
from tests.converted.models import tokens
from tests.targets.gguf_runs import dumped

KEYS = {
    "context_length": 256,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.dimension_count": 16,
    "rope.freq_base": 10_000.0,
    "vocab_size": 256,
    "expert_count": 4,
    "expert_used_count": 2,
}


def mixtral() -> transformers.MixtralForCausalLM:
    config = transformers.MixtralConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    model = transformers.MixtralForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return model


def contents(model: transformers.MixtralForCausalLM) -> Contents:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    tensors = {}
    for name, tensor in model.state_dict().items():
        values, block = tensor.numpy(), ".".join(["blk", *name.split(".")[2:3]])
        if name.endswith("experts.gate_up_proj"):
            gate, up = np.split(values, 2, axis=1)
            tensors |= {f"{block}.ffn_gate_exps.weight": gate.copy(), f"{block}.ffn_up_exps.weight": up.copy()}
        elif name.endswith("experts.down_proj"):
            tensors[f"{block}.ffn_down_exps.weight"] = values
        elif name.endswith("mlp.gate.weight"):
            tensors[f"{block}.ffn_gate_inp.weight"] = values
        else:
            heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
            stored = names.get_name(name, try_suffixes=(".weight",))
            tensors[stored] = interleaved(values, heads) if heads else values
    return Contents("llama", KEYS, tensors)


def test_experts_are_run_and_told(tmp_path: Path):
    model = mixtral()
    with torch.no_grad(), probe.record(model, tmp_path / "ref.h5"):
        model(tokens(12))
    with (
        Dump(tmp_path / "ref.h5") as reference,
        dumped(write(contents(model), tmp_path / "m.gguf"), tokens(12)) as dump,
    ):
        expected = reference[":out.logits"]
        assert np.square(dump[":out.logits"] - expected).sum() < 1e-11 * np.square(expected).sum()
        assert dump.tap("blk.0.ffn_gate_exps:out").shape == (1, 12, 2, 96)
        assert dump.tap("blk.0.@ffn_moe_argsort:out").dtype == "int32"
        np.testing.assert_allclose(dump["blk.1.@ffn_moe_out:out"], reference["model.layers.1.mlp:out"], atol=1e-4)
        chosen = dump["blk.1.@ffn_moe_weights_norm:out"]
        np.testing.assert_allclose(chosen.sum(-1), 1, rtol=1e-6)
