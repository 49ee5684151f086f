"""What the last tensors of a graph held when they were computed: ggml uses their memory again.

B is 1; T tokens in a step, H heads, C channels.
"""

from collections import OrderedDict

import torch

from probe.targets.gguf.node import Node, node_at, values, viewed

NUM_KEPT = 32
"""Tensors that may be asked for again, as what a later one is made of: twice as many as lie between two such."""

HEADWISE = ("RMS_NORM", "NORM", "MUL", "ROPE", "SCALE")
"""Operations before attention that leave heads apart."""


class Held:
    """Copies, by the tensor's address."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._nodes: dict[int, Node] = {}
        self._whole: OrderedDict[int, torch.Tensor] = OrderedDict()
        """Four axes."""
        self._given: dict[int, torch.Tensor] = {}
        """The same as modules are given them: one object wherever it is told, so that it is stored once."""

    def node(self, address: int) -> Node:
        found = self._nodes.get(address)
        if found is None:
            found = self._nodes[address] = node_at(address)
        return found

    def hold(self, node: Node) -> torch.Tensor:
        """A copy of what has been computed just now, four axes."""
        self._nodes[node.address] = node
        return self._keep(node.address, values(node))

    def is_lost(self, node: Node, by: Node) -> bool:
        """Whether what it held was overwritten by what has been computed of it just now, and no copy is kept."""
        return node.base not in self._whole and node.data == by.data

    def whole(self, node: Node) -> torch.Tensor:
        """Four axes. What is not held any more is still in its memory while something is made of it, unless it is
        lost."""
        base = self._whole.get(node.base)
        if base is None:
            return values(node)
        return base if node.address == node.base else viewed(base, node)

    def given(self, node: Node) -> torch.Tensor:
        """As modules are given it: [1, T, C], and where heads are apart [1, T, H, C]."""
        found = self._given.get(node.address)
        if found is None:
            if node.address not in self._whole:
                self._keep(node.address, self.whole(node))
            found = self._given[node.address] = self._shaped(node, self._whole[node.address])
        return found

    def _keep(self, address: int, tensor: torch.Tensor) -> torch.Tensor:
        self._whole[address] = tensor
        if len(self._whole) > NUM_KEPT:
            old, _ = self._whole.popitem(last=False)
            self._given.pop(old, None)
        return tensor

    def _shaped(self, node: Node, tensor: torch.Tensor) -> torch.Tensor:
        sizes = node.sizes
        if sizes[3] > 1:
            return tensor
        if sizes[2] > 1:
            rank = 3
        elif node.type.startswith("i"):
            rank = 1 if sizes[:2] == (self._num_tokens, 1) else 2
        else:
            rank = 3 if self._num_tokens == 1 and (sizes[1] > 1 or self._is_one_head(node)) else 2
        return tensor.reshape(1, *node.shape[4 - rank :])

    def _is_one_head(self, node: Node) -> bool:
        """Of one token: whether it was given an axis for heads, of which there is one. The sizes do not tell."""
        source = self.node(node.sources[0]) if node.sources else None
        if source is None or source.sizes != node.sizes:
            return False
        return node.op == "RESHAPE" or (node.op in HEADWISE and self._is_one_head(source))
