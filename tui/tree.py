"""The modules of a run as a tree, and what of it is shown: folded, filtered, sorted, without what agrees.

Data alone: no widget. A node is a module (a function is one too: `@softmax`); what it is given and returns are its
taps.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tui.figures import Figure, Value


class Mark(StrEnum):
    """What a row says besides its number; in order of weight."""

    UNPAIRED = "?"
    EQUAL = "="
    NEAR = "~"
    OWN = "x"
    NONFINITE = "!"


MEANING = {
    Mark.UNPAIRED: "nothing here has a counterpart",
    Mark.EQUAL: "every number is the same",
    Mark.NEAR: "differs, by nothing of its own",
    Mark.OWN: "does something of its own",
    Mark.NONFINITE: "NaN or infinity on one side alone",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tap of a step."""

    tap: str
    module: str
    step: int
    partner: str
    """The candidate's name; "" where it has none."""
    shape: tuple[int, ...]
    dtype: str
    values: dict[str, Value]
    """By the key of a figure."""
    mark: Mark | None
    """None in a lone dump."""


@dataclass(eq=False, slots=True)
class Node:
    """One module."""

    module: str
    label: str
    depth: int
    order: int
    """Place in the order of execution."""
    parent: "Node | None" = None
    entries: list[Entry] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)
    mark: Mark | None = None
    """The gravest of its own taps."""
    beneath: Mark | None = None
    """The gravest of its own and of all nodes inside it."""

    @property
    def shown(self) -> Entry | None:
        """The tap that stands for the module: the gravest of its own, of several what it returns."""

        def weight(entry: Entry) -> tuple[int, float, bool]:
            ratio = entry.values.get("ratio") or 0.0
            return _weight(entry.mark), ratio, ":out" in entry.tap

        return max(self.entries, key=weight, default=None)

    def value(self, figure: Figure) -> Value:
        """The largest of its own taps'; of a module at fault, of those inside it too. NaN counts as the largest."""
        own = (entry for node in (self.walk() if self.mark is Mark.OWN else (self,)) for entry in node.entries)
        known = [value for entry in own if (value := entry.values.get(figure.key)) is not None]
        return next((value for value in known if math.isnan(value)), max(known, default=None))

    def walk(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child.walk()


def _weight(mark: Mark | None) -> int:
    return -1 if mark is None else list(Mark).index(mark)


def parts(module: str) -> list[str]:
    """`a.b.@softmax.1` as a, b, @softmax.1."""
    owner, at, function = module.partition("@")
    names = [name for name in owner.split(".") if name]
    return [*names, at + function] if at else names


def build(entries: Iterable[Entry], title: str, guilty: Collection[str] = ()) -> Node:
    """The tree of a step's taps, in their order; the root is the model itself. `guilty`: modules with a finding."""
    root = Node("", title, 0, 0)
    nodes = {"": root}
    for entry in entries:
        node = nodes.get(entry.module)
        if node is None:
            node = root
            path = ""
            for depth, name in enumerate(parts(entry.module), 1):
                path = f"{path}.{name}" if path else name
                if path not in nodes:
                    nodes[path] = Node(path, name, depth, len(nodes), node)
                    node.children.append(nodes[path])
                node = nodes[path]
            nodes[entry.module] = node
        node.entries.append(entry)
    for node in reversed(list(root.walk())):
        node.mark = max((entry.mark for entry in node.entries), key=_weight, default=None)
        if node.module in guilty:
            node.mark = max(node.mark, Mark.OWN, key=_weight)
        node.beneath = max((node.mark, *(child.beneath for child in node.children)), key=_weight)
    return root


@dataclass(frozen=True, slots=True)
class View:
    """What of a tree is shown."""

    folded: frozenset[str] = frozenset()
    filter: str = ""
    hides_agreeing: bool = False
    sort: Figure | None = None
    """None: the order of execution, as a tree; else largest first, as a list."""


def visible(root: Node, view: View) -> list[Node]:
    """The rows of the screen, from the top."""
    wanted = view.filter.casefold()

    def fits(node: Node) -> bool:
        agrees = view.hides_agreeing and node.mark in (Mark.EQUAL, Mark.NEAR, None)
        return not agrees and wanted in node.module.casefold() and (bool(node.entries) or not node.children)

    if view.sort is not None:
        return sorted((node for node in root.walk() if fits(node) and node.entries), key=_by(view.sort))
    if not wanted and not view.hides_agreeing:
        return list(_unfolded(root, view.folded))
    kept: set[str] = set()
    for node in root.walk():
        above: Node | None = node if fits(node) else None
        while above is not None and above.module not in kept:
            kept.add(above.module)
            above = above.parent
    return [node for node in root.walk() if node.module in kept]


def _by(figure: Figure) -> Callable[[Node], tuple[float, int]]:
    def key(node: Node) -> tuple[float, int]:
        value = node.value(figure)
        return (math.inf if value is None else -math.inf if math.isnan(value) else -value), node.order

    return key


def _unfolded(node: Node, folded: frozenset[str]) -> Iterator[Node]:
    yield node
    if node.module not in folded or not node.parent:
        for child in node.children:
            yield from _unfolded(child, folded)
