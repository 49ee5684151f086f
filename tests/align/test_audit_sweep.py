"""Each way to get a weight wrong, planted into each port: it is named as what it is, and nothing else is blamed."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import nn

from tests.align.auditing import audited, record, suspicious
from tests.ports.styles import STYLES, Style
from tests.zoo.architectures import Size
from tests.zoo.weight_bugs import change, swap

Plant = Callable[[nn.Module], None]
ONE, TWO = r"([._])1\.", r"\g<1>2."
PART = "partly loaded"
"""What is said of a weight of the reference that the port has in several, of which one is wrong."""
NOT_SEEN = {("llama, sharded", "rows in another order")}
"""The order of a shard's rows is that of no other layer's, where the shards are of the head."""


def cases(port: nn.Module) -> Iterator[tuple[str, Plant, set[str]]]:
    """What is wrong in the port's layer 1 (where all its layers have such weights), and what the audit may call it."""
    names = [name for name in dict(port.named_parameters()) if re.search(ONE, name)]
    weights = {name: port.get_parameter(name).detach() for name in names}
    matrices = [name for name, weight in weights.items() if weight.dim() == 2 and min(weight.shape) >= 16]
    vectors = {name: weight for name, weight in weights.items() if weight.dim() == 1 and weight.numel() > 4}
    biases = [name for name, weight in vectors.items() if re.search("bias|offset", name) and weight.std() > 1e-4]
    norms = [name for name in vectors if not re.search("bias|offset", name)]
    pairs = [(a, b) for a in norms for b in norms if a < b and weights[a].shape == weights[b].shape]
    for first, second in pairs[-1:]:
        yield "norms swapped", partial(swap, first, second), {"swapped", "other layer's", "other weight's"}
    for name in norms[-1:]:
        yield "norm is ones", partial(change, name, torch.ones_like), {"never loaded"}
        yield "norm + 1", partial(change, name, lambda w: w + 1), {"inconsistent"}
    for name in biases[:1]:
        yield "bias is zeros", partial(change, name, torch.zeros_like), {"never loaded", PART}
    for name in matrices[:1]:
        yield "times 1.01", partial(change, name, lambda w: 1.01 * w), {"scaled"}
        yield "rows in another order", partial(change, name, lambda w: w.roll(3, 0)), {"inconsistent", PART}
        if re.sub(ONE, TWO, name, count=1) in dict(port.named_parameters()):
            yield "other layer's", partial(_as_in_the_next, name), {"other layer's", PART}
    for name in [name for name in matrices if weights[name].shape[0] == weights[name].shape[1]][-1:]:
        yield "transposed", partial(change, name, lambda w: w.T.contiguous()), {"inconsistent", PART}


@torch.no_grad()
def _as_in_the_next(name: str, model: nn.Module) -> None:
    model.get_parameter(name).copy_(model.get_parameter(re.sub(ONE, TWO, name, count=1)))


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_wrong_weight_is_named_in_every_port(style: Style, tmp_path):
    reference = style.reference(Size(layers=3))
    fed, port_fed = style.fed()
    record(reference, fed, tmp_path / "reference.h5")
    wrong = {}
    for name, plant, kinds in cases(style.candidate(reference)):
        candidate = style.candidate(reference)
        plant(candidate)
        record(candidate, port_fed, tmp_path / "candidate.h5")
        found = suspicious(audited(tmp_path / "reference.h5", tmp_path / "candidate.h5"))
        if (style.name, name) not in NOT_SEEN and (not found or {finding.kind for finding in found} - kinds):
            wrong[name] = [finding.message for finding in found]
    assert not wrong
