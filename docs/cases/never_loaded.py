"""A Gemma, and a port whose weights were never loaded: the converter was given as None, and nothing said so."""

import torch
from small import SIZES, TOKENS, drawn
from transformers import GemmaConfig, GemmaForCausalLM

CONFIG = GemmaConfig(**SIZES)


def reference():
    return drawn(GemmaForCausalLM(CONFIG)), {"input_ids": TOKENS}


def port():
    torch.manual_seed(0)
    return GemmaForCausalLM(CONFIG).eval()
