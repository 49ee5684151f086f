"""Attention in a graph, in the vocabulary that PyTorch's has (probe.capture.attention): found by where tensors go.

H heads, T tokens of this step, S of this step and all before: what the cache has room for beyond those is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from probe.targets.gguf.held import Held
from probe.targets.gguf.node import Node

Show = Callable[[str, str, str, torch.Tensor], object]
"""Called with the pseudo-child's name, its kind, port and tensor."""
KIND = "attention"
FUSED = "FLASH_ATTN_EXT"
CACHE = ("cache_k", "cache_v")
"""So begin the names of tensors that hold keys and values."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """A product of query and key [1, H, T, S], and what it was multiplied by since."""

    query: torch.Tensor
    key: torch.Tensor
    num_keys: int | None
    """S, where there is room for more: None where keys are none of the cache."""
    scale: float = 1.0
    cap: float | None = None
    last_factor: float = 1.0


class Attention:
    """Follows tensors from the product of query and key to that with the value."""

    def __init__(self, num_tokens: int, past: int, held: Held, named: Callable[[str, str], str], show: Show) -> None:
        """`named` makes a pseudo-child's name of its owner and what it does."""
        self._num_tokens, self._total = num_tokens, past + num_tokens
        self._held, self._named, self._show = held, named, show
        self._scores: dict[int, _Scores] = {}
        self._probabilities: dict[int, str] = {}

    def tell(self, node: Node, given: Sequence[Node], result: torch.Tensor, owner: str) -> torch.Tensor | None:
        """A tensor [.., .., .., ..] that was computed just now of no weight, or of one beside what is `given`. Returns
        what is left to be shown of it."""
        first = given[0].base if given else 0
        known = self._scores.get(first)
        if node.op == FUSED:
            self._fused(node, given, result, owner)
            return None
        if node.op == "SOFT_MAX" and known is not None:
            self._softmax(node, given, known, result, owner)
            return None
        if node.op == "MUL_MAT" and given[1].base in self._probabilities:
            name = self._probabilities.pop(given[1].base)
            value = self._held.whole(given[0])[..., : self._total].transpose(-1, -2)
            self._show(name, KIND, "in.value", value.contiguous())
            self._show(name, KIND, "out", result)
            return None
        if node.op == "MUL_MAT":
            num_keys = self._total if self._held.node(first).name.startswith(CACHE) else None
            key = self._held.whole(given[0])[..., :num_keys, :]
            known = _Scores(self._held.whole(given[1]), key, num_keys)
        elif known is None:
            return result
        elif node.op == "SCALE":
            known = replace(known, scale=known.scale * node.number(0), last_factor=node.number(0))
        elif node.op == "TANH":
            known = replace(known, scale=known.scale / known.last_factor, cap=1 / known.last_factor)
        else:
            return result
        self._scores[node.address] = known
        return result if known.num_keys is None else result[..., : known.num_keys]

    def _softmax(self, node: Node, given: Sequence[Node], known: _Scores, result: torch.Tensor, owner: str) -> None:
        self._scores.clear()
        scale, slope = node.number(0), node.number(1)
        name = self._probabilities[node.address] = self._named(owner, KIND)
        mask = self._mask(given[1]) if len(given) > 1 else None
        whole = known.scale * scale if known.cap is None else known.scale / known.last_factor
        self._inputs(name, known.query, known.key, whole, known.cap, mask)
        if not slope and not self._held.is_lost(given[0], node):
            scores = self._held.whole(given[0])[..., : known.num_keys] * scale
            self._show(name, KIND, "out.scores", scores if mask is None else scores + mask)
        self._show(name, KIND, "out.probabilities", result[..., : known.num_keys])

    def _fused(self, node: Node, given: Sequence[Node], result: torch.Tensor, owner: str) -> None:
        query, key, value = (self._held.whole(source) for source in given[:3])
        name = self._named(owner, KIND)
        scale, cap = node.number(0), node.number(2)
        mask = self._mask(given[3]) if len(given) > 3 else None
        self._inputs(name, query, key[..., : self._total, :], scale, cap or None, mask)
        self._show(name, KIND, "in.value", value[..., : self._total, :])
        self._show(name, KIND, "out", result.transpose(1, 2))

    def _inputs(
        self,
        name: str,
        query: torch.Tensor,
        key: torch.Tensor,
        scale: float,
        cap: float | None,
        mask: torch.Tensor | None,
    ) -> None:
        self._show(name, KIND, "in.query", query)
        self._show(name, KIND, "in.key", key)
        self._show(name, KIND, "in.scale", torch.tensor(scale, dtype=torch.float64))
        if cap is not None:
            self._show(name, KIND, "in.softcap", torch.tensor(cap, dtype=torch.float64))
        if mask is not None:
            self._show(name, KIND, "in.mask", mask)

    def _mask(self, mask: Node) -> torch.Tensor:
        return self._held.whole(mask)[..., : self._num_tokens, : self._total]
