"""A prefill and its steps are the model's own: what generate() does, and bit for bit the same under a recorder."""

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from probe.targets.calls import play
from probe.targets.plan import planned
from tests.tiny_decoders import MODELS, ids, sound, tiny

NUM_DECODED = 6


def fed(name, tokens):
    return {"input_features": sound(), "decoder_input_ids": tokens} if name == "whisper" else {"input_ids": tokens}


def played(model, inputs, **how):
    calls, _ = planned(model, inputs, **how)
    with torch.no_grad():
        return play(model, calls)


def loop(model, inputs):
    """The same by hand: (B, t, V) of each call."""
    cache_name = "cache_params" if "Mamba" in type(model).__name__ else "past_key_values"
    name = "decoder_input_ids" if model.config.is_encoder_decoder else "input_ids"
    fed, logits = dict(inputs), []
    with torch.no_grad():
        for _ in range(NUM_DECODED + 1):
            output = model(**fed, use_cache=True)
            logits.append(output.logits)
            fed = {name: output.logits[:, -1:].argmax(-1), cache_name: output[cache_name]}
            if name == "decoder_input_ids":
                fed["encoder_outputs"] = (output.encoder_last_hidden_state,)
    return logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_a_recorded_run_is_bit_for_bit_the_loop_without_probe(tmp_path, name, dtype):
    inputs = fed(name, ids(9))
    if name == "whisper":
        inputs["input_features"] = inputs["input_features"].to(dtype)
    expected = loop(tiny(name, dtype=dtype), inputs)
    model = tiny(name, dtype=dtype)
    with probe.record(model, tmp_path / "x.h5"):
        played(model, inputs, decode=NUM_DECODED)
    with probe.open(tmp_path / "x.h5") as dump:
        for step, logits in enumerate(expected):
            recorded = torch.from_numpy(dump.read(dump.tap(":out.logits", step)))
            assert torch.equal(recorded, logits.float())
        assert list(dump.past.values()) == [0, *range(9, 9 + NUM_DECODED)]


def generated(model, inputs):
    tokens = model.generate(
        **inputs, max_new_tokens=NUM_DECODED, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=True
    )
    return tokens[:, -NUM_DECODED:]


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "mamba", "mamba2"])
def test_the_tokens_are_those_of_generate(name):
    inputs = {"input_ids": ids(9), "attention_mask": torch.ones(2, 9, dtype=torch.long)}
    run = played(tiny(name), inputs, decode=NUM_DECODED)
    assert torch.equal(run.calls.inputs["input_ids"][:, 9:], generated(tiny(name), inputs))
    assert len(run.calls.sizes) == NUM_DECODED + 1


def left_padded():
    tokens, mask = ids(9), torch.ones(2, 9, dtype=torch.long)
    tokens[1, :3], mask[1, :3] = 0, 0
    return {"input_ids": tokens, "attention_mask": mask}


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "mamba", "mamba2"])
def test_a_batch_padded_in_front_goes_on_as_generate_does_and_as_each_sentence_alone(name):
    inputs, model = left_padded(), tiny(name)
    tokens = played(model, inputs, decode=NUM_DECODED).calls.inputs["input_ids"][:, 9:]
    assert torch.equal(tokens, generated(model, inputs))
    alone = played(model, {"input_ids": inputs["input_ids"][1:, 3:]}, decode=NUM_DECODED)
    assert torch.equal(tokens[1:], alone.calls.inputs["input_ids"][:, 6:])


def test_a_batch_padded_behind_is_refused_in_words():
    inputs = left_padded()
    flipped = {name: value.flip(-1) for name, value in inputs.items()}
    with pytest.raises(ProbeError, match="padded behind its sentences"):
        planned(tiny("llama"), flipped, decode=2)
    assert planned(tiny("llama"), flipped)[0].sizes == ()


@pytest.mark.parametrize("name", MODELS)
def test_chunks_and_steps_of_the_same_tokens_say_what_one_prefill_says(name):
    tokens = ids(12)
    inputs = fed(name, tokens)
    whole = played(tiny(name), inputs).output.logits
    begins_anew = name.startswith("mamba")  # with every chunk, in transformers
    for how in ({"recorded": (12,), "decode": 5}, {"recorded": (5, 4, 1, 1, 1)}, {"chunk": 5})[
        : 1 if begins_anew else 3
    ]:
        run = played(tiny(name), inputs, **how)
        assert torch.equal(run.likeliest, whole.argmax(-1))


@pytest.mark.parametrize("name", ["llama", "gpt2", "whisper"])
def test_behind_padding_another_run_is_followed_with_its_positions_or_as_it_with_none(name):
    tokens, mask, before = ids(9), left_padded()["attention_mask"], "decoder_" if name == "whisper" else ""
    inputs = {**fed(name, tokens), f"{before}attention_mask": mask}
    whole = played(tiny(name), inputs).output.logits
    assert torch.equal(played(tiny(name), inputs, recorded=(9,), decode=3).likeliest, whole.argmax(-1))
    own = {f"{before}position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    assert planned(tiny(name), {**inputs, **own}, (9,), decode=3)[0].inputs.keys() == {**inputs, **own}.keys()


def test_steps_of_another_run_are_followed_cut_elsewhere_or_put_into_one():
    def sizes(recorded, **how):
        return planned(tiny("gpt2"), {"input_ids": ids(12)}, recorded, **how)[0].sizes

    assert sizes((9, 1, 1, 1)) == (9, 1, 1, 1)
    assert sizes((9, 1, 1, 1), decode=0) == ()
    assert sizes((9, 1, 1, 1), decode=5) == (7, 1, 1, 1, 1, 1)
    assert sizes((), decode=2) == (10, 1, 1)
    assert sizes((9, 1, 1, 1), chunk=4) == (4, 4, 1, 1, 1, 1)
    with pytest.raises(ProbeError, match="the other run has 12 tokens in all") as caught:
        sizes((9, 1, 1, 1), decode=12)
    assert caught.value.hint == "--decode 11 at most"


class Own(nn.Module):
    """Keeps its keys itself, and is told where its tokens stand: the sum of all embeddings up to each token."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(64, 64)
        self.seen = torch.zeros(2, 32, 64)

    def forward(self, tokens, start_pos):
        stop = start_pos + tokens.shape[1]
        self.seen[:, start_pos:stop] = self.embed(tokens)
        return self.seen[:, :stop].cumsum(1)[:, start_pos:]


class Each(Own):
    def forward(self, tokens, input_pos):
        return super().forward(tokens, int(input_pos[0]))


@pytest.mark.parametrize("kind", [Own, Each])
def test_a_model_that_keeps_its_cache_itself_is_told_where_its_tokens_stand(kind):
    torch.manual_seed(0)
    model = kind()
    whole = played(model, {"tokens": ids(8)}, recorded=(7, 1)).likeliest
    assert torch.equal(played(model, {"tokens": ids(8)}, recorded=(3, 1, 1, 2, 1)).likeliest, whole)
    assert played(model, {"tokens": ids(8)}, decode=3).calls.sizes == (8, 1, 1, 1)


class NoCache(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(64, 64)

    def forward(self, tokens):
        return self.embed(tokens)


def test_a_model_without_a_cache_runs_all_tokens_of_another_run_at_once_and_says_so():
    calls, [note] = planned(NoCache(), {"tokens": ids(12)}, (9, 1, 1, 1))
    assert calls.sizes == ()
    assert note == "the model has no cache to hand on: one prefill of all 12 tokens instead"
    for how in ({"decode": 3}, {"chunk": 4}):
        with pytest.raises(ProbeError, match="its forward takes none of past_key_values, cache_params"):
            planned(NoCache(), {"tokens": ids(12)}, **how)


def test_a_decoder_without_a_prompt_begins_with_its_first_token():
    run = played(tiny("whisper"), {"input_features": sound()}, decode=3)
    assert run.calls.inputs["decoder_input_ids"].shape == (2, 4)
    assert run.calls.inputs["decoder_input_ids"][:, 0].tolist() == [1, 1]


def test_what_cannot_be_decoded_is_refused_in_words():
    headless = tiny("llama").model
    with pytest.raises(ProbeError, match="returns no logits over its vocabulary"):
        played(headless, {"input_ids": ids(4)}, decode=2)
    square = {"input_ids": ids(4), "attention_mask": torch.zeros(2, 1, 4, 4)}
    with pytest.raises(ProbeError, match="says nothing of tokens to come"):
        played(tiny("llama"), square, decode=2)
    with pytest.raises(ProbeError, match="--decode -1: at least 0 is needed"):
        planned(tiny("llama"), {"input_ids": ids(4)}, decode=-1)
    with pytest.raises(ProbeError, match="the model is fed pixels, and steps need input_ids"):
        planned(tiny("llama"), {"pixels": ids(4)}, decode=2)


def test_without_steps_a_model_is_run_with_its_inputs_alone():
    model, calls = tiny("gpt2"), []
    model.register_forward_pre_hook(lambda module, args, kwargs: calls.append(kwargs), with_kwargs=True)
    tokens = ids(4)
    played(model, {"input_ids": tokens})
    assert calls == [{"input_ids": tokens}]
