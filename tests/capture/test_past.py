"""What a model held in its cache before each call is found out from its own arguments, whatever the cache is."""

import pytest
import torch
import transformers
from torch import nn

import probe
from tests.tiny_decoders import ids, sound, tiny

CHUNKS = (5, 1, 1, 3, 1)
BEFORE = [0, 5, 6, 7, 10]


def chunks(tokens):
    return torch.split(tokens, CHUNKS, dim=1)


def past(path, model, run):
    with torch.no_grad(), probe.record(model, path):
        run(model)
    with probe.open(path) as dump:
        return [dump.past[step] for step in dump.steps]


def decoded(model):
    cache = None
    for chunk in chunks(ids(11)):
        cache = model(chunk, past_key_values=cache, use_cache=True).past_key_values


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral"])
def test_a_cache_of_transformers_says_how_long_it_is(tmp_path, name):
    """Gemma 3's first layer keeps four tokens; what it has seen counts."""
    assert past(tmp_path / "x.h5", tiny(name), decoded) == BEFORE


def test_a_cache_that_is_there_from_the_start_and_grows_in_place_is_read_before_it_grows(tmp_path):
    def run(model):
        cache = transformers.DynamicCache()
        for chunk in chunks(ids(11)):
            model(chunk, past_key_values=cache)

    assert past(tmp_path / "x.h5", tiny("llama"), run) == BEFORE


def test_a_static_cache_counts_what_it_was_given(tmp_path):
    def run(model):
        cache = transformers.StaticCache(config=model.config, max_cache_len=32)
        for chunk in chunks(ids(11)):
            model(chunk, past_key_values=cache)

    assert past(tmp_path / "x.h5", tiny("llama"), run) == BEFORE


def test_an_encoder_and_decoder_count_the_decoder_s_tokens(tmp_path):
    def run(model):
        cache, heard = None, None
        for chunk in chunks(ids(11)):
            fed = {"input_features": sound()} if heard is None else {"encoder_outputs": (heard,)}
            output = model(**fed, decoder_input_ids=chunk, past_key_values=cache, use_cache=True)
            cache, heard = output.past_key_values, output.encoder_last_hidden_state

    assert past(tmp_path / "x.h5", tiny("whisper"), run) == BEFORE


@pytest.mark.parametrize("name", ["mamba", "mamba2"])
def test_a_state_that_does_not_say_how_long_it_is_follows_all_that_went_before(tmp_path, name):
    def run(model):
        state = None
        for chunk in chunks(ids(11))[:3]:
            state = model(chunk, cache_params=state, use_cache=True).cache_params
        model(ids(3), use_cache=True)

    assert past(tmp_path / "x.h5", tiny(name), run) == [*BEFORE[:3], 0]


def test_without_a_cache_each_call_begins_anew(tmp_path):
    def run(model):
        for num_tokens in (3, 4, 4):
            model(ids(num_tokens), use_cache=False)

    assert past(tmp_path / "x.h5", tiny("gpt2"), run) == [0, 0, 0]


class Plain(nn.Module):
    """Keeps its cache to itself, or is handed one."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(64, 4)

    def forward(self, tokens, start_pos=None, *, input_pos=None, position_ids=None, layers=None, memory=None):
        return self.embed(tokens)


def scalar(first, count):
    return {"start_pos": first}


def row(first, count):
    return {"input_pos": torch.arange(first, first + count)}


def rows_after_padding(first, count):
    """The second sentence is padded by two on the left."""
    positions = torch.stack([torch.arange(first, first + count), torch.arange(first, first + count) - 2])
    return {"position_ids": positions.clamp(min=0)}


@pytest.mark.parametrize("places", [scalar, row, rows_after_padding])
def test_positions_that_go_on_say_how_much_went_before(tmp_path, places):
    def run(model):
        first = 0
        for chunk in chunks(ids(11)):
            model(chunk, **places(first, chunk.shape[1]))
            first += chunk.shape[1]
        model(ids(3), **places(0, 3))

    assert past(tmp_path / "x.h5", Plain(), run) == [*BEFORE, 0]


@pytest.mark.parametrize("width", [3, 8])
@pytest.mark.parametrize("order", ["heads first", "tokens first"])
def test_keys_and_values_handed_over_are_as_long_as_what_went_before(tmp_path, width, order):
    def pair(length):
        shape = (2, 6, length, width) if order == "heads first" else (2, length, 6, width)
        return torch.zeros(shape), torch.zeros(shape)

    def run(model):
        length = 0
        for chunk in chunks(ids(11)):
            model(chunk, layers=[pair(length), pair(length)] if length else None)
            length += chunk.shape[1]

    assert past(tmp_path / "x.h5", Plain(), run) == BEFORE


def test_room_for_keys_and_values_is_no_token_where_positions_begin_anew(tmp_path):
    room = [(torch.zeros(2, 6, 32, 4), torch.zeros(2, 6, 32, 4))]

    def run(model):
        for first, chunk in zip(BEFORE, chunks(ids(11)), strict=True):
            model(chunk, first, layers=room)

    assert past(tmp_path / "x.h5", Plain(), run) == BEFORE


def test_a_cache_whose_own_code_fails_does_not_harm_the_recording(tmp_path):
    class Broken:
        def get_seq_length(self):
            raise RuntimeError("no length")

    def run(model):
        model(ids(3), memory=Broken())
        model(ids(3), memory=[Broken(), {"more": Broken()}])

    assert past(tmp_path / "x.h5", Plain(), run) == [0, 0]


def test_positions_without_values_say_nothing(tmp_path):
    def run(model):
        model(ids(3))
        model(ids(3), input_pos=torch.arange(3, 6, device="meta"))

    assert past(tmp_path / "x.h5", Plain(), run) == [0, 0]
