"""What the zoo is made of: every cause, enough pairs, the same ones for the same seed."""

import pytest
import torch

from tests.zoo.bugs import BUGS, bug_named
from tests.zoo.outputs import final, relative
from tests.zoo.pairs import pair
from tests.zoo.plan import planned
from tests.zoo.ported import styles_of

PREFILL = [
    "input.tokens",
    "input.positions",
    "input.mask",
    "embed.scale",
    "embed.rounding",
    "embed.missing_weight",
    "norm.eps",
    "norm.weight_offset",
    "norm.weight_swapped",
    "norm.weight_missing",
    "norm.missing",
    "norm.order",
    "norm.kind",
    "linear.weight_missing",
    "linear.weight_transposed",
    "linear.weight_swapped",
    "linear.row_order",
    "linear.bias_missing",
    "linear.quantized",
    "attn.window",
    "attn.causal",
    "attn.padding_mask",
    "attn.scale",
    "attn.softcap",
    "attn.kv_repeat",
    "attn.head_order",
    "attn.mask_value",
    "attn.sink",
    "rope.theta",
    "rope.layout",
    "rope.position",
    "rope.scaling",
    "rope.missing",
    "rope.twice",
    "rope.order",
    "mlp.activation",
    "mlp.gate_up_swapped",
    "moe.router_normalization",
    "moe.router_order",
    "moe.top_k",
    "moe.expert_order",
    "moe.shared_expert",
    "residual.scale",
    "residual.order",
    "head.untied",
    "head.softcap",
    "head.scale",
    "quant.scale",
    "quant.granularity",
    "quant.activation",
    "shard.missing_reduce",
    "shard.order",
]
"""The closed vocabulary, less what needs a second step or is precision alone."""


def test_every_cause_that_shows_in_a_prefill_is_planted():
    assert {bug.cause for bug in BUGS} == set(PREFILL)
    assert {cause for bug in BUGS for cause in bug.also} <= set(PREFILL)


def test_no_two_bugs_have_one_name():
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_every_bug_can_be_planted_somewhere():
    assert not [bug.name for bug in BUGS for view in bug.fits if not styles_of(bug, view)]


@pytest.mark.parametrize("part", ["seen", "aside"])
def test_the_zoo_is_as_large_as_it_should_be(part):
    pairs = planned(part)
    assert sum(not one.benign and len(one.names) == 1 for one in pairs) >= 300
    assert sum(one.benign for one in pairs) >= 40
    assert sum(len(one.names) > 2 for one in pairs) >= 10


def test_the_parts_share_no_model():
    widths = [pair(bug_named("no scale"), "llama", part, 3).reference.config.hidden_size for part in ("seen", "aside")]
    assert widths[0] != widths[1]


def test_one_seed_gives_one_pair():
    first, second = (pair(bug_named("no scale"), "qwen2", "seen", 4) for _ in range(2))
    assert relative(*(final(one.candidate, one.inputs) for one in (first, second))) == 0
    assert first.places == second.places


def test_a_bug_stands_where_it_is_whatever_is_planted_beside_it():
    one, other = bug_named("no scale"), bug_named("matrix of zeros")
    alone, both = pair(one, "llama", "seen", 2), pair([other, one], "llama", "seen", 2)
    assert both.places[1] == alone.places[0]
    assert torch.isfinite(both.output).all()
