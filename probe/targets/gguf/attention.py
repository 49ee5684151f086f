"""Attention in a graph, in the vocabulary that PyTorch's has (probe.capture.attention): found by where tensors go.

H heads, T tokens of this step, S of this step and all before: what the cache has room for beyond those is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from probe.targets.gguf.node import Node

Show = Callable[[str, str, str, torch.Tensor], object]
"""Called with the pseudo-child's name, its kind, port and tensor."""
KIND = "attention"
FUSED = "FLASH_ATTN_EXT"


@dataclass(frozen=True, slots=True)
class _Scores:
    """A product of query and key [1, H, T, S], and what it was multiplied by since."""

    query: torch.Tensor
    key: torch.Tensor
    scale: float = 1.0
    cap: float | None = None
    last_factor: float = 1.0


class Attention:
    """Follows tensors from the product of query and key to that with the value."""

    def __init__(self, num_tokens: int, past: int, named: Callable[[str, str], str], show: Show) -> None:
        """`named` makes a pseudo-child's name of its owner and what it does."""
        self._num_tokens, self._total = num_tokens, past + num_tokens
        self._named, self._show = named, show
        self._scores: dict[int, _Scores] = {}
        self._probabilities: dict[int, str] = {}

    def tell(
        self,
        node: Node,
        sources: Sequence[Node],
        given: Callable[[Node], torch.Tensor],
        result: torch.Tensor,
        owner: str,
    ) -> torch.Tensor | None:
        """A tensor [.., .., .., ..] that was computed of no weight just now; `given` has what its sources held.
        Returns what is left to be shown of it."""
        first = sources[0].base if sources else 0
        if node.op == FUSED:
            self._fused(node, sources, given, result, owner)
            return None
        if node.op == "SOFT_MAX" and first in self._scores:
            self._softmax(node, sources, given, result, owner)
            return None
        if node.op == "MUL_MAT" and sources[1].base in self._probabilities:
            name = self._probabilities.pop(sources[1].base)
            value = given(sources[0])[..., : self._total].transpose(-1, -2)
            self._show(name, KIND, "in.value", value.contiguous())
            self._show(name, KIND, "out", result)
            return None
        if node.op == "MUL_MAT":
            key = given(sources[0])[..., : self._total, :]
            self._scores[node.address] = _Scores(given(sources[1]), key)
        elif node.op == "SCALE" and first in self._scores:
            factor, known = node.number(0), self._scores[first]
            self._scores[node.address] = replace(known, scale=known.scale * factor, last_factor=factor)
        elif node.op == "TANH" and first in self._scores:
            known = self._scores[first]
            capped = replace(known, scale=known.scale / known.last_factor, cap=1 / known.last_factor)
            self._scores[node.address] = capped
        else:
            return result
        return result[..., : self._total]

    def _softmax(
        self,
        node: Node,
        sources: Sequence[Node],
        given: Callable[[Node], torch.Tensor],
        result: torch.Tensor,
        owner: str,
    ) -> None:
        known = self._scores[sources[0].base]
        self._scores.clear()
        scale, slope = node.number(0), node.number(1)
        name = self._probabilities[node.address] = self._named(owner, KIND)
        scores = given(sources[0])[..., : self._total] * scale
        mask = self._mask(given(sources[1])) if len(sources) > 1 else None
        whole = known.scale * scale if known.cap is None else known.scale / known.last_factor
        self._inputs(name, known.query, known.key, whole, known.cap, mask)
        if not slope:
            self._show(name, KIND, "out.scores", scores if mask is None else scores + mask)
        self._show(name, KIND, "out.probabilities", result[..., : self._total])

    def _fused(
        self,
        node: Node,
        sources: Sequence[Node],
        given: Callable[[Node], torch.Tensor],
        result: torch.Tensor,
        owner: str,
    ) -> None:
        query, key, value = (given(source) for source in sources[:3])
        name = self._named(owner, KIND)
        scale, cap = node.number(0), node.number(2)
        mask = self._mask(given(sources[3])) if len(sources) > 3 else None
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

    def _mask(self, mask: torch.Tensor) -> torch.Tensor:
        return mask[..., : self._num_tokens, : self._total]
