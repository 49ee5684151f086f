"""A graph as modules: what computes with a weight is one, and what lies between them are functions.

See probe.targets.gguf for the names. B is 1; T tokens in a step, C channels.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch

from probe.targets.gguf.attention import CACHE, Attention
from probe.targets.gguf.file import EMBEDDING
from probe.targets.gguf.held import Held
from probe.targets.gguf.node import Node


class Add(Protocol):
    """ArrayRecorder's, of one step."""

    def __call__(self, module: str, kind: str, port: str, tensor: torch.Tensor, call: int = 0, /) -> object: ...


NORMS = ("RMS_NORM", "NORM", "GROUP_NORM", "L2_NORM")
PRODUCTS = ("MUL_MAT", "MUL_MAT_ID", "GET_ROWS")
COPIES = ("SET_ROWS", "CPY", "CONT", "DUP")
LAYER_OUT, LOGITS = "l_out", "result_output"
_LAYER = re.compile(r"(?P<name>.*?)-(?P<layer>\d+)$")
_BLOCK = re.compile(r"blk\.(?P<layer>\d+)\.")
_ODD = re.compile(r"[^\w-]")
"""What a tap's name gives another meaning to."""
_UNNAMED = re.compile(r"(node|leaf)_\d+")


class Graph:
    """Told each tensor of one step in the order of execution."""

    def __init__(self, weights: Iterable[str], num_tokens: int, past: int, add: Add) -> None:
        """`weights` are the file's names of them."""
        self._weights = frozenset(weights)
        self._add = add
        self._held = Held(num_tokens)
        self._attention = Attention(num_tokens, past, self._held, self._named, add)
        self._layers: dict[int, int | None] = {}
        self._entered: set[int] = set()
        self._leaves: set[int] = set()
        self._open: int | None = None
        """The layer that was entered last, until its output is there."""
        self._normed: dict[int, tuple[str, torch.Tensor]] = {}
        """By a norm's address: its kind and what it was given, until it is multiplied by its weight."""
        self._unbiased: dict[int, str] = {}
        """By address: the kind of a product whose bias is still to come."""
        self._counts: Counter[str] = Counter()
        self.logits: torch.Tensor | None = None

    def tell(self, node: Node) -> None:
        """A tensor that was computed just now."""
        sources = [self._held.node(address) for address in node.sources]
        if node.op in COPIES and any(self._held.node(source.base).name.startswith(CACHE) for source in sources):
            return  # attention shows what it reads of the cache
        weight = next((source for source in sources if source.name in self._weights), None)
        given = [source for source in sources if source is not weight]
        result = self._held.hold(node)
        is_lost = not given or self._held.is_lost(given[0], node)
        name, layer = self._place(node, weight, given)
        self._layers[node.address] = layer
        owner = "" if layer is None else f"blk.{layer}"
        if layer is not None and layer not in self._entered:
            self._entered.add(layer)
            self._open = layer
            if not is_lost:
                self._add(owner, "block", "in", self._held.given(given[0]))
        if node.op in NORMS and not is_lost:
            self._normed[node.address] = node.op, self._held.given(given[0])
        if weight is None or not self._tell_module(node, weight.name, given):
            self._tell_leaves(given)
            left = self._attention.tell(node, given, result, owner)
            if left is not None and name not in (LAYER_OUT, LOGITS):
                shown = self._held.given(node) if left is result else left
                self._add(self._named(owner, name), node.op, "out", shown)
        if name == LAYER_OUT and layer is not None:
            self._add(owner, "block", "out", self._held.given(node))
            self._layers[node.address] = self._open = None
        if name == LOGITS:
            self.logits = self._held.given(node)

    def _tell_leaves(self, given: Iterable[Node]) -> None:
        """What the graph is fed besides tokens and masks, as `@inp_pos:out`."""
        for node in given:
            if node.op == "NONE" and node.base == node.address and node.address not in self._leaves:
                self._leaves.add(node.address)
                if "mask" not in node.name and not node.name.startswith(CACHE):
                    self._add(self._named("", node.name), "INPUT", "out", self._held.given(node))

    def _tell_module(self, node: Node, weight: str, given: Sequence[Node]) -> bool:
        """Whether it is a module that has this weight."""
        module, _, part = weight.rpartition(".")
        if node.op == "ADD":
            if part != "bias":
                return False
            self._tell_port(module, self._unbiased.pop(given[0].base, node.op), "out", self._held.given(node))
            return True
        if node.op in PRODUCTS:
            kind, source = node.op, self._held.given(given[0])
            module = "output" if weight == EMBEDDING and node.op == "MUL_MAT" else module
        elif node.op == "MUL":
            normed = self._normed.pop(given[0].base, None)
            kind, source = normed or (node.op, self._held.given(given[0]))
        else:
            return False
        self._tell_port(module, kind, "in", source)
        if f"{module}.bias" in self._weights:
            self._unbiased[node.address] = kind
            self._add(self._named(module, node.op.lower()), node.op, "out", self._held.given(node))
        else:
            self._tell_port(module, kind, "out", self._held.given(node))
        return True

    def _tell_port(self, module: str, kind: str, port: str, tensor: torch.Tensor) -> None:
        """Of a weight that is used again, the next call."""
        call = self._counts[f"{module}:{port}"]
        self._counts[f"{module}:{port}"] += 1
        self._add(module, kind, port, tensor, call)

    def _place(self, node: Node, weight: Node | None, given: Sequence[Node]) -> tuple[str, int | None]:
        """What it is called besides its layer, and the layer."""
        name = _ODD.sub("_", node.name.partition(" (")[0])
        found = _LAYER.fullmatch(name)
        if found:
            return found["name"], int(found["layer"])
        name = node.op.lower() if not name or _UNNAMED.fullmatch(name) else name
        if weight is not None:
            found = _BLOCK.match(weight.name)
            return name, int(found["layer"]) if found else None
        layers = (self._layers.get(source.base) for source in given)
        return name, next((layer for layer in layers if layer is not None), self._open)

    def _named(self, owner: str, function: str) -> str:
        """The pseudo-child: `blk.3.@norm`, and the second time `blk.3.@norm.1`."""
        name = f"{owner}.@{function}" if owner else f"@{function}"
        count = self._counts[name]
        self._counts[name] += 1
        return f"{name}.{count}" if count else name
