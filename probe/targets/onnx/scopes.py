"""Which modules a node lies in, as the exporter wrote it down: in metadata, or in the node's name."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

SCOPES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
"""What torch.onnx.export(dynamo=True) notes of each node: the modules' names, outermost first, and last the node's own
in the traced program; and their classes, and last the aten function."""


@dataclass(frozen=True, slots=True)
class Scope:
    modules: tuple[str, ...]
    """Dotted names, the outermost first; the model itself is no part of it."""
    classes: tuple[str, ...]
    """Of each module, "" where nobody knows."""

    def __len__(self) -> int:
        return len(self.modules)


def scope_of(name: str, metadata: Mapping[str, str]) -> Scope | None:
    """None where nobody noted it."""
    if SCOPES in metadata:
        modules = _names(metadata[SCOPES])[:-1]
        classes = _names(metadata.get(CLASSES, "[]"))[: len(modules)]
        classes += [""] * (len(modules) - len(classes))
        kept = [(one, kind.rpartition(".")[2]) for one, kind in zip(modules, classes, strict=True) if _is_module(one)]
        return Scope(tuple(one for one, _ in kept), tuple(kind for _, kind in kept))
    if name.startswith("/") and name.count("/") > 1:
        modules = list(accumulate(name[1:].split("/")[:-1], lambda outer, inner: f"{outer}.{inner}"))
        return Scope(tuple(modules), ("",) * len(modules))
    return None


def _is_module(name: str) -> bool:
    """Not the model itself, nor what torch writes where it knows no module."""
    return bool(name) and not name.startswith("_empty_nn_module_stack")


def _names(text: str) -> list[str]:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [str(one) for one in found] if isinstance(found, (list, tuple)) else []
