"""Tiny transformers models as ONNX graphs, as the exporter makes them; each export takes some seconds.

B sentences of T tokens.
"""

from pathlib import Path

import torch
import transformers
from torch import nn

from tests.ports.references import look_trained

SIZES = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": False}


def llama() -> nn.Module:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, **GROUPED))


def qwen3() -> nn.Module:
    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SIZES, **GROUPED))


def gemma3() -> nn.Module:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    config = transformers.Gemma3TextConfig(**SIZES, **GROUPED, sliding_window=8, layer_types=kinds)
    return transformers.Gemma3ForCausalLM(config)


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(vocab_size=256, n_embd=64, n_layer=3, n_head=4, n_positions=128)
    return transformers.GPT2LMHeadModel(config)


def bert() -> nn.Module:
    return transformers.BertModel(transformers.BertConfig(**SIZES))


KINDS = {"llama": llama, "qwen3": qwen3, "gemma3": gemma3, "gpt2": gpt2, "bert": bert}


def tiny(kind: str, seed: int = 0) -> nn.Module:
    """A seeded model with weights that look trained, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KINDS[kind]()
    look_trained(model, seed)
    model.set_attn_implementation("eager")
    return model.eval()


class Wrapper(nn.Module):
    """What exporters hand to torch.onnx.export: the model behind an attribute, and one tensor that it returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.m = model

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.m(input_ids=input_ids, attention_mask=attention_mask, **types)
        return found.logits if "logits" in found else found.last_hidden_state


IDS_BT = torch.arange(3, 27).reshape(2, 12)


def export(
    model: nn.Module,
    path: Path,
    fed: tuple[torch.Tensor, ...] = (IDS_BT, torch.ones_like(IDS_BT)),
    names: tuple[str, ...] = ("input_ids", "attention_mask"),
) -> Path:
    """Any number of sentences and tokens can be fed to it."""
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        Wrapper(model),
        fed,
        dynamo=True,
        verbose=False,
        input_names=names,
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(names, dynamic),
    )
    program.save(str(path))
    return path


def export_traced(model: nn.Module, path: Path) -> Path:
    """With the exporter before that one: names of modules stand in the names of nodes."""
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Wrapper(model),
        (IDS_BT, torch.ones_like(IDS_BT)),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "B", 1: "T"} for name in names},
    )
    model.eval()  # its modules are left in train mode
    return path
