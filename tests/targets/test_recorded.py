"""What another run was fed is one sequence: the prefill's tokens and those of the steps that went on from it."""

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from probe.targets.recorded import recorded_sequence
from tests.tiny_decoders import ids, sound, tiny


class Fed(nn.Module):
    """Takes whatever a loop gives it."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(64, 4)

    def forward(self, input_ids, attention_mask=None, position_ids=None, start_pos=0, pixels=None):
        return self.embed(input_ids)


def recorded(path, model, *calls):
    with torch.no_grad(), probe.record(model, path):
        for fed in calls:
            model(**fed)
    return recorded_sequence(path)


def test_what_belongs_to_tokens_is_put_together_and_all_else_is_the_prefill_s(tmp_path):
    tokens, mask, pixels = ids(8), torch.ones(2, 8, dtype=torch.long), torch.ones(2, 3)
    mask[1, :2] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    calls = [
        {"input_ids": tokens[:, a:b], "attention_mask": mask[:, :b], "position_ids": positions[:, a:b], "start_pos": a}
        for a, b in ((0, 5), (5, 7), (7, 8))
    ]
    found = recorded(tmp_path / "x.h5", Fed(), {**calls[0], "pixels": pixels}, *calls[1:])
    assert found.sizes == (5, 2, 1)
    expected = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions, "pixels": pixels}
    assert found.inputs.keys() == expected.keys()
    assert all(torch.equal(found.inputs[name], value) for name, value in expected.items())


def test_what_the_steps_were_not_given_goes_on_by_itself(tmp_path):
    tokens, mask = ids(6), torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
    first = {"input_ids": tokens[:, :4], "attention_mask": mask, "position_ids": mask.cumsum(-1) - 1}
    found = recorded(tmp_path / "x.h5", Fed(), first, {"input_ids": tokens[:, 4:], "start_pos": 4})
    assert found.inputs["attention_mask"].tolist() == [[1] * 6, [0] + [1] * 5]
    assert found.inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5], [-1, 0, 1, 2, 3, 4]]


def test_a_text_that_begins_anew_is_not_part_of_it(tmp_path):
    tokens = ids(4)
    found = recorded(tmp_path / "x.h5", Fed(), {"input_ids": tokens}, {"input_ids": ids(4, seed=1)})
    assert found.sizes == ()
    assert torch.equal(found.inputs["input_ids"], tokens)


def test_of_an_encoder_and_decoder_the_decoder_s_tokens_go_on(tmp_path):
    tokens = ids(5)
    calls = [{"input_features": sound(), "decoder_input_ids": tokens[:, :4]}]
    model = tiny("whisper")
    with torch.no_grad(), probe.record(model, tmp_path / "x.h5"):
        output = model(**calls[0], use_cache=True)
        model(
            encoder_outputs=(output.encoder_last_hidden_state,),
            decoder_input_ids=tokens[:, 4:],
            past_key_values=output.past_key_values,
        )
    found = recorded_sequence(tmp_path / "x.h5")
    assert found.sizes == (4, 1)
    assert found.inputs.keys() == {"input_features", "decoder_input_ids"}
    assert torch.equal(found.inputs["decoder_input_ids"], tokens)


def test_a_run_without_tokens_is_one_call(tmp_path):
    found = recorded(tmp_path / "x.h5", nn.Linear(4, 4), {"input": torch.ones(2, 4)})
    assert found.sizes == ()
    assert list(found.inputs) == ["input"]


def test_a_dump_without_inputs_is_refused(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4))
    with probe.record(model, tmp_path / "x.h5"):
        model[0](torch.ones(1, 4))
    with pytest.raises(ProbeError, match="holds no inputs"):
        recorded_sequence(tmp_path / "x.h5")
