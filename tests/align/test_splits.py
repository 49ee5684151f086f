"""A fused matrix that a loader split at the wrong row: its parts hold the end of one and the beginning of the next."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.align.oracle import runs
from tests.ports.styles import STYLES, Style
from tests.zoo.architectures import Size

IN_MATRICES_OF_THEIR_OWN = [
    pytest.param(style, id=style.name)
    for style in STYLES
    if style.name in ("whisper, OpenAI", "llama, sharded", "mixtral, a module an expert")
]
"""Styles in which queries, keys and values are not fused again: a fused matrix's order is nobody's business."""


@torch.no_grad()
def split_too_late(model: nn.Module) -> None:
    """In every layer queries, keys and values, one below the other, are each taken 8 rows further down."""
    weights = dict(model.named_parameters())
    queries = [name for name in weights if re.search(r"q_proj\.weight$", name)]
    assert queries
    for name in queries:
        parts = [weights[name.replace("q_proj", kind)] for kind in ("q_proj", "k_proj", "v_proj")]
        fused = torch.cat(parts).roll(-8, 0)
        for part, rows in zip(parts, fused.split([len(part) for part in parts]), strict=True):
            part.copy_(rows)


@pytest.mark.parametrize("style", IN_MATRICES_OF_THEIR_OWN)
@pytest.mark.parametrize("num_layers", [3, 5])
def test_no_pair_joins_the_end_of_one_matrix_with_the_beginning_of_another(
    tmp_path: Path, style: Style, num_layers: int
):
    found = runs(style, tmp_path, size=Size(layers=num_layers), seed=num_layers)
    assert not found.wrong()
    bug = found.with_bug(tmp_path, misread=split_too_late)
    assert not bug.wrong()
    assert any(re.search(r"[qkv]_proj:out$", name) for name in bug.unpaired())
