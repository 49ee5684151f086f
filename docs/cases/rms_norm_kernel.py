"""A Llama in bfloat16, and the same with another RMSNorm: as a fused kernel, it rounds once, at its end."""

import torch
from small import SIZES, TOKENS, drawn
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

CONFIG = LlamaConfig(**SIZES)


def reference():
    return drawn(LlamaForCausalLM(CONFIG)).to(torch.bfloat16), {"input_ids": TOKENS}


def port():
    model, _ = reference()
    for layer in model.model.layers:
        layer.input_layernorm = FusedRMSNorm(layer.input_layernorm)
        layer.post_attention_layernorm = FusedRMSNorm(layer.post_attention_layernorm)
    model.model.norm = FusedRMSNorm(model.model.norm)
    return model.eval()


class FusedRMSNorm(nn.Module):
    def __init__(self, given: nn.Module) -> None:
        super().__init__()
        self.weight, self.eps = given.weight, given.variance_epsilon

    def forward(self, x):
        wide = x.float()
        scale = (wide.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return (wide * scale * self.weight.float()).to(x.dtype)
