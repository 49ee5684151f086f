"""The oracle of test_styles.py sees a wrong pair, a wrong layout and a missing pair."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from probe.align.mapping import Layout
from tests.align.oracle import Runs, runs
from tests.ports.styles import STYLES
from tests.zoo.architectures import Size

QWEN3 = STYLES[0]
Q, K = "model.layers.0.self_attn.q_proj:out", "model.layers.0.self_attn.k_proj:out"
GATE, UP = "model.layers.1.mlp.gate_proj:out", "model.layers.1.mlp.up_proj:out"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return runs(QWEN3, tmp_path_factory.mktemp("clean"), size=Size(layers=2))


def changed(found: Runs, name: str, **fields: object) -> Runs:
    """With one pair made otherwise."""
    pairs = [replace(pair, **fields) if pair.reference.name == name else pair for pair in found.mapping.pairs]
    return replace(found, mapping=replace(found.mapping, pairs=tuple(pairs)))


def test_a_pair_with_another_module_is_wrong(clean: Runs):
    up = next(pair for pair in clean.mapping.pairs if pair.reference.name == UP)
    assert changed(clean, GATE, sources=up.sources).wrong().keys() == {GATE}
    assert not changed(clean, GATE, sources=up.sources, firm=False).wrong()


def test_a_pair_with_its_axes_in_another_order_is_wrong(clean: Runs):
    assert changed(clean, Q, layout=Layout("b h t d -> b t (d h)")).wrong().keys() == {Q}


def test_what_lost_its_pair_is_unpaired(clean: Runs):
    pairs = tuple(pair for pair in clean.mapping.pairs if pair.reference.name != K)
    assert replace(clean, mapping=replace(clean.mapping, pairs=pairs)).unpaired() == {K}


@torch.no_grad()
def scaled(port: nn.Module) -> None:
    port.get_parameter("norm.weight").mul_(2.0)


def test_a_bug_s_own_error_makes_no_pair_wrong(clean: Runs, tmp_path: Path):
    """Pairs of a port with a bug are read from the same port without it."""
    assert not clean.with_bug(tmp_path, spoiled=scaled).wrong()
