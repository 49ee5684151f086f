"""A plain decoder that keeps its keys and values itself, as Meta's Llama does, and is told where its tokens stand.

B sentences, T new tokens, S tokens in the cache with them, C channels, V vocabulary.
"""

import torch
from torch import nn

VOCABULARY, CHANNELS, ROOM = 64, 16, 64


class Attention(nn.Module):
    def __init__(self, late: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)
        self.late = late
        self.register_buffer("keys", torch.zeros(2, ROOM, CHANNELS), persistent=False)
        self.register_buffer("values", torch.zeros(2, ROOM, CHANNELS), persistent=False)

    def forward(self, x_BTC, start_pos, mask_TS):
        (num_sentences, num_tokens), stop = x_BTC.shape[:2], start_pos + x_BTC.shape[1]
        query_BTC, key_BTC, value_BTC = self.qkv(x_BTC).chunk(3, dim=-1)
        place = slice(start_pos - self.late, stop - self.late) if start_pos else slice(0, num_tokens)
        self.keys[:num_sentences, place] = key_BTC
        self.values[:num_sentences, place] = value_BTC
        scores_BTS = query_BTC @ self.keys[:num_sentences, :stop].mT / CHANNELS**0.5
        if mask_TS is not None:
            scores_BTS = scores_BTS + mask_TS
        return self.out(scores_BTS.softmax(-1) @ self.values[:num_sentences, :stop])


class Decoder(nn.Module):
    def __init__(self, late: dict[int, int]) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.positions = nn.Embedding(ROOM, CHANNELS)
        self.layers = nn.ModuleList(Attention(late.get(number, 0)) for number in range(2))
        self.head = nn.Linear(CHANNELS, VOCABULARY)

    def forward(self, tokens, start_pos: int):
        num_tokens = tokens.shape[1]
        x_BTC = self.embed(tokens) + self.positions(torch.arange(start_pos, start_pos + num_tokens))
        mask_TS = None
        if num_tokens > 1:
            hidden_TT = torch.full((num_tokens, num_tokens), float("-inf")).triu(1)
            mask_TS = torch.hstack([torch.zeros(num_tokens, start_pos), hidden_TT])
        for layer in self.layers:
            x_BTC = x_BTC + layer(x_BTC, start_pos, mask_TS)
        return self.head(x_BTC)


def build(late_in: int | None = None) -> Decoder:
    """In layer `late_in` a decoded token is written into the slot before its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Decoder({} if late_in is None else {late_in: 1}).eval()
