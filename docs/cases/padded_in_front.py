"""A GPT-2 that is given positions for a batch padded in front, and a port that counts from the first column instead."""

import torch
from small import TOKENS, drawn
from transformers import GPT2Config, GPT2LMHeadModel

CONFIG = GPT2Config(vocab_size=256, n_embd=64, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)


def reference():
    tokens = TOKENS.reshape(2, 24).clone()
    mask = torch.ones_like(tokens)
    mask[0, :9] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    inputs = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
    return drawn(GPT2LMHeadModel(CONFIG)), inputs


def port():
    class Port(GPT2LMHeadModel):
        def forward(self, input_ids, attention_mask=None, position_ids=None, **others):
            return super().forward(input_ids, attention_mask=attention_mask, **others)

    return drawn(Port(CONFIG))
