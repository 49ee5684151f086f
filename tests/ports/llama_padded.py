"""The fused Llama in sizes that kernels like: vocabulary and feed-forward channels padded with zero rows and columns.

Its logits are cut back to the words there are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from tests.ports import llama

MULTIPLE = 96
"""What both sizes are padded to a multiple of."""

MOVED: dict[str, str | None] = {
    ":in.input_ids": ":in.input_ids",
    ":out.logits": ":out",
    "lm_head:out": "engine.output:out[0:256]",
    "model.layers.{i}.mlp.up_proj:out": "engine.layers.{i}.w13:out[192:352]",
    "model.layers.{i}.mlp.down_proj:in": "engine.layers.{i}.w2:in[0:160]",
}
TRUTH = {key: f"engine.{said}" if said else None for key, said in llama.TRUTH.items()} | MOVED
TRUTH["model:in.input_ids"] = ":in.input_ids"


class PaddedLlama(nn.Module):
    """Token ids (B, T), no sentence padded, to logits (N, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        settings = replace(llama.layer_settings(config, None), num_ffn_channels=padded(config.intermediate_size))
        layers = [settings] * config.num_hidden_layers
        self.engine = llama.FusedLlama(padded(config.vocab_size), layers, config.rms_norm_eps)
        self.vocab_size = config.vocab_size

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.engine(input_ids)[:, : self.vocab_size]


def padded(size: int) -> int:
    return -(-size // MULTIPLE) * MULTIPLE


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> PaddedLlama:
    """The same model out of transformers' weights."""
    fused = llama.convert(reference_state_dict, config).state_dict()
    num_ffn_channels = config.intermediate_size
    model = PaddedLlama(config)
    weights = {}
    for name, room in model.engine.state_dict().items():
        room.zero_()
        if name.endswith("w13.weight"):
            gate_up = room.unflatten(0, (2, -1))
            gate_up[:, :num_ffn_channels] = fused[name].unflatten(0, (2, -1))
        elif room.dim() == 2:
            room[: len(fused[name]), : fused[name].shape[1]] = fused[name]
        else:
            room.copy_(fused[name])
        weights[name] = room
    model.engine.load_state_dict(weights)
    return model.eval()
