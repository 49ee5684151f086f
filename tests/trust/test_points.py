"""The last hidden state before against after the final norm; layers one off; logits of another hidden state."""

from pathlib import Path

import numpy as np
import pytest
import torch

from probe.dump import Dump
from probe.report import Status
from probe.tap import Tap
from probe.trust.head import sketched_distance
from tests.trust.conftest import Doubts, Recorded, only
from tests.trust.model import build
from tests.trust.retelling import instead, retold, the_same_as

FINAL = "model:out"


def test_the_last_hidden_state_before_the_final_norm_against_after_it(reference: Path, tmp_path: Path, doubts: Doubts):
    """warpfront/hipfire 258: `hidden_states[-1]` is after the final norm in transformers, and was before it."""
    before = retold(reference, tmp_path / "b.h5", instead({FINAL: the_same_as("model.norm:in")}))
    said = only(doubts(reference, before), "point", Status.WARN)
    assert "model:out is not taken at the same point: in the reference it is what model.norm returned" in said
    assert (
        "in the candidate what model.layers.11 returned" in said or "in the candidate what model.norm is given" in said
    )
    assert "point" in doubts(before, reference)


def other_runtime(dump: Dump, tap: Tap):
    """A recording of hidden states alone, as llama.cpp and servers give: no norm, no head of its own to look at."""
    return None if tap.module.startswith(("model.norm", "head")) else dump.bits(tap)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_runtime_that_shows_no_norm_is_held_against_both_points(
    dtype, reference: Path, recorded: Recorded, tmp_path: Path, doubts: Doubts
):
    source = recorded("candidate", build().to(dtype))
    honest = retold(source, tmp_path / "honest.h5", other_runtime)
    assert "point" not in doubts(reference, honest)
    before = instead({FINAL: the_same_as("model.norm:in")})
    wrong = retold(
        source, tmp_path / "b.h5", lambda d, tap: other_runtime(d, tap) if tap.name != FINAL else before(d, tap)
    )
    said = doubts(reference, wrong)["point"].message
    assert (
        said == "model:out is taken after the final norm (model.norm) in the reference and before it in the candidate"
    )


def test_a_layer_that_is_one_off(reference: Path, tmp_path: Path, doubts: Doubts):
    """`hidden_states` begins with the embedding in one library and with the first layer in another."""
    one_off = {f"model.layers.{i}:out": the_same_as(f"model.layers.{i + 1}:out") for i in range(11)}
    shifted = retold(reference, tmp_path / "b.h5", instead(one_off))
    found = doubts(reference, shifted)
    assert "model.layers.0:out is not taken at the same point" in found["point"].message
    assert (
        "what model.layers.1 returned" in found["point"].message or "model.layers.2 is given" in found["point"].message
    )


def test_one_name_for_another_point_within_a_layer(reference: Path, tmp_path: Path, doubts: Doubts):
    """TransformerLens' hook_attn_out: with the residual already added, or not."""
    source = retold(reference, tmp_path / "a.h5")
    summed = retold(source, tmp_path / "b.h5", instead({"model.layers.5:out": the_same_as("model.layers.5.mix:out")}))
    said = doubts(source, summed)["point"].message
    assert said.startswith("model.layers.5:out is not taken at the same point: in the reference it is what")
    assert "in the candidate what model.layers.5.mix returned" in said


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_another_dtype_is_tapped_at_the_same_points(dtype, reference: Path, recorded: Recorded, doubts: Doubts):
    assert doubts(reference, recorded("candidate", build().to(dtype))) == {}


def perturbed(name: str, size: float):
    """A tap, and noise of `size` of it: the tensor that a server has left over from something else."""

    def bits(dump: Dump, tap: Tap):
        values = dump.bits(dump.tap(name))
        noise = np.random.default_rng(0).normal(size=values.shape).astype(np.float32)
        return values + size * np.linalg.norm(values) / np.linalg.norm(noise) * noise

    return bits


def test_logits_that_do_not_follow_from_the_last_hidden_state(reference: Path, tmp_path: Path, doubts: Doubts):
    """A hidden state that was perturbed a little: 96 % of the next tokens stay, so nobody sees it (vllm 50815)."""
    wrong = perturbed("model.norm:out", 0.2)
    changed = dict.fromkeys(("model.norm:out", FINAL), wrong)
    other = retold(reference, tmp_path / "b.h5", instead(changed))
    said = doubts(reference, other)["logits"].message
    assert said.startswith("the candidate's head:out does not follow from model.norm:out, its last hidden state")


def test_logits_of_another_prompt(reference: Path, recorded: Recorded, tmp_path: Path, doubts: Doubts):
    from tests.trust.model import ids

    elsewhere = recorded("elsewhere", None, {"input_ids": ids(3)})

    def other_logits(dump: Dump, tap: Tap):
        with Dump(elsewhere) as run:
            return run.bits(run.tap(tap.name)) if tap.module == "head" else dump.bits(tap)

    assert "logits" in doubts(reference, retold(reference, tmp_path / "b.h5", other_logits))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_that_follow_are_recognized_without_the_weight(seed: int, dtype, recorded: Recorded):
    """Although every matrix is known by eight projections of its columns alone."""
    with Dump(recorded("run", build(seed).to(dtype))) as dump:
        [weight] = [weight for weight in dump.weights if weight.name == "head.weight"]
        apart = sketched_distance(dump, dump.tap("model.norm:out"), dump.tap("head:out"), weight)
        assert apart < 0.01
        assert sketched_distance(dump, dump.tap("model.norm:in"), dump.tap("head:out"), weight) > 0.1
