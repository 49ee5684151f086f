"""Functional taps by default: those that cost little, the same ones whatever the numbers; what is left out is told."""

import pytest
import torch

import probe
from tests.stepwise import record_steps
from tests.tiny_decoders import ids, tiny
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=128, layers=6, tokens=96)


def recorded(path, model, fed, functional="auto"):
    with torch.no_grad(), probe.record(model, path, functional=functional):
        model(**fed)
    with probe.open(path) as dump:
        return dump.taps, (dump.attribute("notes") or {}).get("left_out", {})


def stored(taps):
    """Bytes of tensors by whether they are a function's alone: what is a module's too costs nothing."""
    size = {torch.float32: 4, torch.float64: 8, torch.int64: 8, torch.bool: 1}
    of = {True: 0, False: 0}
    seen = {tap.statistics.hash for tap in taps if not tap.is_functional}
    for tap in {tap.statistics.hash: tap for tap in reversed(taps)}.values():
        functions_own = tap.is_functional and tap.statistics.hash not in seen
        of[functions_own] += tap.num_elements * size[getattr(torch, tap.dtype)]
    return of


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mixtral"])
def test_after_the_first_layer_they_cost_under_a_tenth(tmp_path, name, attention):
    taps, left_out = recorded(tmp_path / "x.h5", build(name, SIZE, attention=attention), inputs(name, SIZE))
    later = [tap for tap in taps if not any(f"{stack}.0." in tap.name for stack in ("layers", "h"))]
    of = stored(later)
    assert 0 < of[True] <= 0.10 * of[False]
    assert any(tap.port == "in.query" and ".5." in tap.name for tap in taps if tap.is_functional)
    assert all("{i}" in kind and size > 0 for kind, size in left_out.items())
    assert left_out


def test_two_runs_with_other_numbers_have_the_same_taps(tmp_path):
    names = []
    for seed in (0, 1):
        taps, left_out = recorded(tmp_path / f"{seed}.h5", build("llama", SIZE, seed=seed), inputs("llama", SIZE, seed))
        names.append(([tap.name for tap in taps], left_out))
    assert names[0] == names[1]


def test_scores_of_a_long_sequence_are_left_out_from_the_first_layer_on(tmp_path):
    size = Size(hidden=64, layers=2, heads=8, tokens=400)
    taps, left_out = recorded(tmp_path / "x.h5", build("llama", size), inputs("llama", size))
    assert not any(tap.port == "out.scores" for tap in taps)
    assert left_out["model.layers.{i}.self_attn.@attention:out.scores"] == 2 * 8 * 400 * 400 * 4
    assert any(
        tap.port == "out.scores"
        for tap in recorded(tmp_path / "y.h5", build("llama", size), inputs("llama", size), "attention")[0]
    )


class Loop(torch.nn.Module):
    """A function for each token."""

    def forward(self, x):
        state = torch.zeros(x.shape[0], x.shape[2])
        for token in x.unbind(1):
            state = torch.tanh(state + token)
        return state * 2


def test_a_loop_over_tokens_is_recorded_at_its_beginning(tmp_path):
    fed = {"x": torch.randn(2, 50, 32)}
    calls = {tap.module for tap in recorded(tmp_path / "x.h5", Loop(), fed)[0] if tap.is_functional}
    assert 0 < len(calls) <= 8
    assert len({tap.module for tap in recorded(tmp_path / "y.h5", Loop(), fed, "all")[0] if tap.is_functional}) == 50


def test_attention_alone_and_nothing_may_be_asked_for(tmp_path):
    model, fed = build("mixtral", Size()), inputs("mixtral", Size())
    kinds = [
        {tap.module_class for tap in recorded(tmp_path / f"{kind}.h5", model, fed, kind)[0] if tap.is_functional}
        for kind in ("none", "attention")
    ]
    assert kinds == [set(), {"attention"}]
    with pytest.raises(ValueError, match="some"), probe.record(model, tmp_path / "x.h5", functional="some"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_what_is_decided_in_the_prefill_holds_while_decoding(tmp_path, name):
    path = record_steps(tiny(name), tmp_path / "steps.h5", ids(9), (6, 1, 1, 1))
    tensors = ("in.query", "in.key", "in.value", "out")  # flags and masks are others for a single token
    with probe.open(path) as dump:
        taps = [tap for tap in dump.taps if tap.is_functional and tap.port in tensors]
        steps = [{tap.name for tap in taps if tap.step == step} for step in dump.steps]
    later = [{name for name in names if ".1." in name} for names in steps]
    assert later[0]
    assert later[1:] == later[:1] * 3
    assert steps[1] == steps[2] == steps[3]
