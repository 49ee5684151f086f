"""What a runtime is asked to do: its tokens, its steps, its options."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.capture.selection import Selection
from probe.dump.detail import chosen_detail
from probe.errors import ProbeError
from probe.targets.inputs import InputRequest
from probe.targets.runtime import Job
from probe.targets.target import Target


def job(request: InputRequest, **how: object) -> Job:
    options = how.pop("options", {})
    return Job(Target("gguf", "/tiny.gguf", options), request, Path("x.h5"), **how)


def test_tokens_are_fed_in_one_step():
    inputs, sizes, num_greedy = job(InputRequest(tokens="1,2,3")).fed(10)
    assert inputs["input_ids"].tolist() == [[1, 2, 3]]
    assert (sizes, num_greedy) == ((3,), 0)


def test_chunks_and_decoded_steps_are_planned_as_for_a_model():
    _, sizes, num_greedy = job(InputRequest(tokens="1,2,3,4,5"), chunk=2, decode=3).fed(10)
    assert (sizes, num_greedy) == ((2, 2, 1), 3)


class Embedding(nn.Embedding):
    def forward(self, input_ids, start_pos=0):
        return super().forward(input_ids)


def test_another_runs_tokens_are_fed_in_its_steps_or_decoded(tmp_path: Path):
    model = Embedding(10, 4)
    with torch.no_grad(), probe.record(model, tmp_path / "ref.h5"):
        for start, ids in ((0, [[1, 2, 3]]), (3, [[4]]), (4, [[5]])):
            model(torch.tensor(ids), start_pos=start)
    inputs, sizes, num_greedy = job(InputRequest(dump=tmp_path / "ref.h5")).fed(10)
    assert inputs["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert (sizes, num_greedy) == ((3, 1, 1), 0)
    assert job(InputRequest(dump=tmp_path / "ref.h5"), decode=0).fed(10)[1] == (5,)
    assert job(InputRequest(dump=tmp_path / "ref.h5"), decode=1).fed(10)[1] == (4, 1)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (InputRequest(prompts=("hello",)), "--prompt has no effect on a gguf: target"),
        (InputRequest(), "nothing to feed the model"),
        (InputRequest(tokens="1,10"), "token id 10 is outside the vocabulary of 10"),
        (InputRequest(tokens=""), "not one token"),
        (InputRequest(tokens="a"), "no token ids"),
        (InputRequest(num_random_tokens=0), "at least 1 is needed"),
    ],
)
def test_what_cannot_be_fed_is_refused(request_: InputRequest, message: str):
    with pytest.raises(ProbeError, match=message):
        job(request_).fed(10)


def test_options_stand_over_what_is_there_without_them():
    known = {"flash": False, "threads": 2, "kv": "f32"}
    assert job(InputRequest(), options={"threads": 1}).options(known) == {"flash": False, "threads": 1, "kv": "f32"}
    with pytest.raises(ProbeError, match="no option 'thread'") as refusal:
        job(InputRequest(), options={"thread": 1}).options(known)
    assert refusal.value.hint == "--arg takes flash, threads, kv"
    with pytest.raises(ProbeError, match="a bool is needed"):
        job(InputRequest(), options={"flash": 1}).options(known)


def test_a_job_is_the_same_in_another_process(tmp_path: Path):
    requests = (
        InputRequest(tokens="1,2"),
        InputRequest(dump=tmp_path / "ref.h5"),
        InputRequest(num_random_tokens=3, seed=4),
    )
    for request in requests:
        given = job(
            request,
            options={"kv": "f16", "flash": True},
            decode=2,
            selection=Selection(["*.mlp"], ["a\udc80*"]),
            detail=chosen_detail(64, stats_only=False, tokens_slice=":8"),
            force=True,
        )
        assert replace(Job.of_json(given.to_json()), selection=given.selection) == given
        assert list(Job.of_json(given.to_json()).selection.exclude) == ["a\udc80*"]
