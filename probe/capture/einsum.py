"""Products that are written as einsum, as matmul has them: [.., T, C] times [.., C, N]."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Product:
    """Views of the two factors; heads, where they are two axes (groups, and heads of each), are one."""

    left: torch.Tensor
    """[B, H, T, C]"""
    right: torch.Tensor
    """[B, H, C, N], or with fewer heads."""
    order: tuple[str, ...]
    """Labels of the result's axes as B, heads, T, N."""
    labels: str
    """Labels of the result's axes as they are."""

    def arranged(self, result: torch.Tensor) -> torch.Tensor:
        """The result, or another tensor with its axes, as [B, H, T, N]."""
        return _merged(result.permute([self.labels.index(label) for label in self.order]))


def product_of(equation: str, left: torch.Tensor, right: torch.Tensor, num_tokens: int | None = None) -> Product | None:
    """None for what is no such product, or where it cannot be told which axis is that of the tokens.

    `num_tokens` is the size of that axis, where it is known; else it is that of the other factor's, N.
    """
    given, arrow, labels = equation.replace(" ", "").partition("->")
    sides = given.split(",")
    if not arrow or len(sides) != 2 or "." in equation or any(len(set(part)) < len(part) for part in (*sides, labels)):
        return None
    first, second = sides
    if len(first) != left.dim() or len(second) != right.dim():
        return None
    contracted = [label for label in first if label in second and label not in labels]
    shared = [label for label in labels if label in first and label in second]
    rows = [label for label in labels if label in first and label not in second]
    columns = [label for label in labels if label in second and label not in first]
    if len(contracted) != 1 or len(columns) != 1 or not rows or len(rows) + len(columns) + len(shared) < len(labels):
        return None
    size = num_tokens or right.shape[second.index(columns[0])]
    tokens = rows if len(rows) == 1 else [label for label in rows if left.shape[first.index(label)] == size]
    if len(tokens) != 1 or len(rows) > 2:
        return None
    groups = [label for label in rows if label not in tokens]
    ours = left.permute([first.index(label) for label in (*shared, *groups, *tokens, *contracted)])
    theirs = right.permute([second.index(label) for label in (*shared, *contracted, *columns)])
    return Product(_merged(ours), theirs, (*shared, *groups, *tokens, *columns), labels)


def _merged(tensor: torch.Tensor) -> torch.Tensor:
    """Of [B, groups, heads, T, N] the two axes of heads as one."""
    return tensor.flatten(1, 2) if tensor.dim() == 5 else tensor
