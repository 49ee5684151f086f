"""A Qwen 3, and a port of it that norms queries and keys after the rotary embedding, and not before."""

from small import SIZES, TOKENS, drawn
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

CONFIG = Qwen3Config(**SIZES)


def reference():
    return drawn(Qwen3ForCausalLM(CONFIG)), {"input_ids": TOKENS}


def port():
    model = drawn(Qwen3ForCausalLM(CONFIG))
    for layer in model.model.layers:
        layer.self_attn = Attention(layer.self_attn)
    return model.eval()


class Attention(nn.Module):
    """B sentences of T tokens, H heads of D channels; weights are those of `given`."""

    def __init__(self, given: nn.Module) -> None:
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = given.q_proj, given.k_proj, given.v_proj, given.o_proj
        self.norm_q, self.norm_k = given.q_norm, given.k_norm

    def forward(self, hidden_states, position_embeddings, **_):
        def heads(x_BTC):
            return x_BTC.unflatten(-1, (-1, SIZES["head_dim"])).transpose(1, 2)

        q_BHTD, k_BHTD, v_BHTD = (heads(weight(hidden_states)) for weight in (self.wq, self.wk, self.wv))
        q_BHTD, k_BHTD = apply_rotary_pos_emb(q_BHTD, k_BHTD, *position_embeddings)
        mixed_BHTD = nn.functional.scaled_dot_product_attention(
            self.norm_q(q_BHTD), self.norm_k(k_BHTD), v_BHTD, is_causal=True, enable_gqa=True
        )
        return self.wo(mixed_BHTD.transpose(1, 2).flatten(-2)), None
