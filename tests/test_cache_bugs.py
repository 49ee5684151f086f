"""The planted cache bugs are what they say: the steps before them are those of the clean model, bit for bit."""

import pytest
import torch

from tests.cache_bugs import KINDS, planted, stale_state
from tests.tiny_decoders import ids, sound, tiny

ATTENDING = ("llama", "gemma3", "gpt2", "mixtral", "whisper")


def logits_of_steps(model, tokens, num_prefilled):
    """Of a prefill and one token a step: [(B, T, V), ...]."""
    is_whisper = model.config.is_encoder_decoder
    name = "cache_params" if "Mamba" in type(model).__name__ else "past_key_values"
    cache, steps = None, []
    with torch.no_grad():
        for chunk in torch.split(tokens, [num_prefilled] + [1] * (tokens.shape[1] - num_prefilled), dim=1):
            fed = {"input_features": sound(), "decoder_input_ids": chunk} if is_whisper else {"input_ids": chunk}
            output = model(**fed, use_cache=True, **{name: cache})
            cache = output[name]
            steps.append(output.logits)
    return steps


@pytest.mark.parametrize("name", ATTENDING)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_before_the_bug_are_right_and_the_step_of_the_bug_is_not(name, kind):
    tokens = ids(12)
    clean = logits_of_steps(tiny(name), tokens, 7)
    wrong = logits_of_steps(planted(tiny(name), kind, layer=1, step=2), tokens, 7)
    for step, (right, other) in enumerate(zip(clean, wrong, strict=True)):
        assert torch.equal(right, other) == (step < 2), step
        if step >= 2 and kind != "dtype":
            assert (right - other).norm() > 1e-3 * right.norm()


@pytest.mark.parametrize("name", ["mamba", "mamba2"])
def test_a_state_that_was_lost_shows_in_the_step_after(name):
    tokens = ids(12)
    clean = logits_of_steps(tiny(name), tokens, 7)
    wrong = logits_of_steps(stale_state(tiny(name), layer=1, step=2), tokens, 7)
    assert [torch.equal(right, other) for right, other in zip(clean, wrong, strict=True)] == [True] * 3 + [False] * 3
