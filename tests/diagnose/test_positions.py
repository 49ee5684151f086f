"""input.positions: other rows of a learned table, or rotations by other numbers than were handed over."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.conftest import Compare
from tests.diagnose.looked_up import DTYPES, PLACES, finding_of, narrow
from tests.zoo.architectures import build, inputs
from tests.zoo.plants import wrap_forward


def changed_positions(candidate: nn.Module, name: str, shift: int, *, inside: bool) -> nn.Module:
    """Within the table's own code, or before its tap."""
    table = candidate.get_submodule(PLACES[name])
    if name == "whisper":  # it counts by itself
        with torch.no_grad():
            table.weight.copy_(table.weight.roll(-shift, 0))
    elif inside:
        wrap_forward(table, lambda forward, module, positions: forward(positions + shift))
    else:
        table.register_forward_pre_hook(lambda module, args: (args[0] + shift,))
    return candidate


@narrow
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("name", "shift"), [("gpt2", 2), ("bert", 1), ("whisper", 3)])
def test_positions_further_on_are_named(compare: Compare, name: str, shift: int, inside: bool, dtype: str):
    finding = finding_of(compare, name, changed_positions(build(name), name, shift, inside=inside), dtype)
    assert (finding.cause, finding.reference_value, finding.candidate_value) == ("input.positions", 0, shift)
    assert finding.module in PLACES[name]
    assert finding.share == pytest.approx(1.0, abs=0.05)


@narrow
@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_positions_that_nobody_counts_are_named(compare: Compare, name: str, dtype: str):
    candidate = build(name)
    wrap_forward(candidate.get_submodule(PLACES[name]), lambda forward, module, places: forward(0 * places))
    finding = finding_of(compare, name, candidate, dtype)
    assert (finding.cause, finding.module, finding.candidate_value) == ("input.positions", PLACES[name], 0)
    assert "all tokens have position 0" in finding.message


@narrow
def test_positions_that_count_the_padding_are_named(compare: Compare, dtype: str):
    ids = inputs("gpt2")["input_ids"][:1]
    mask = torch.ones(2, ids.shape[1], dtype=torch.long)
    mask[1, :9] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    fed = {"input_ids": torch.cat([ids, ids.flip(1)]), "attention_mask": mask, "position_ids": positions}
    candidate = build("gpt2")
    counted = torch.arange(ids.shape[1])
    wrap_forward(candidate.transformer.wpe, lambda forward, module, positions: forward(counted.expand(2, -1)))
    finding = finding_of(compare, "gpt2", candidate, dtype, fed)
    assert (finding.cause, finding.module) == ("input.positions", "transformer.wpe")
    assert finding.candidate_value == "0, 1, 2, ..."


@narrow
@pytest.mark.parametrize("at", ["the angles", "attention"])
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_handed_positions_that_a_rotation_does_not_use_are_named(compare: Compare, name: str, at: str, dtype: str):
    """Of a text with a gap: nobody's code turns otherwise, the numbers are not the ones that came in."""
    candidate, ids = build(name), inputs(name)["input_ids"]
    count = torch.arange(ids.shape[1])
    places = torch.where(count < 10, count, count + 7).expand(ids.shape)
    fed = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": places}
    rotary = candidate.model.rotary_emb
    if at == "the angles":
        wrap_forward(rotary, lambda forward, module, x, position_ids: forward(x, count[None]))
    for layer in candidate.model.layers if at == "attention" else ():

        def counting(forward: Any, module: nn.Module, *args: Any, position_embeddings: Any, **kwargs: Any) -> Any:
            turned = rotary(position_embeddings[0], count[None])
            return forward(*args, position_embeddings=turned, **kwargs)

        wrap_forward(layer.self_attn, counting)
    finding = finding_of(compare, name, candidate, dtype, fed)
    assert (finding.cause, finding.candidate_value) == ("input.positions", "0, 1, 2, ...")
    assert finding.module == ("model.rotary_emb" if at == "the angles" else "model.layers.0.self_attn")


class Reader(nn.Module):
    """All in one module, and a norm after the sum: the rows themselves cannot be seen."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Parameter(torch.randn(50, 32))
        self.places = nn.Parameter(torch.randn(40, 32))
        self.head = nn.Linear(32, 50)
        self.shift = shift

    def forward(self, idx: Tensor) -> Tensor:
        x = self.words[idx] + self.places[torch.arange(idx.shape[1]) + self.shift]
        return self.head(F.layer_norm(x, (32,)))


@narrow
@pytest.mark.parametrize("shift", [1, 2])
def test_positions_are_told_through_a_norm(compare: Compare, shift: int, dtype: str):
    fed = {"idx": torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(1))}
    (finding,) = compare(Reader(), Reader(shift).to(DTYPES[dtype]), fed).findings
    assert (finding.cause, finding.module, finding.candidate_value) == ("input.positions", "", shift)
