"""`probe selftest`: decoded steps beside one prefill of the same tokens, inside one model."""

import json
from pathlib import Path

import pytest

from probe.dump import Dump
from tests.commands.running import Refused, Run

TARGET = "py:tests.cache_bugs:target"
TOKENS = ["--random-tokens", "12", "--decode", "5"]
"""More than Gemma 3's window of 4 before the first step."""


def report(probe: Run, *words: object):
    outcome = probe("selftest", TARGET, *words, "--json")
    return outcome.code, json.loads(outcome.out)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "mamba", "mamba2", "whisper"])
def test_a_sound_model_agrees_with_itself(name: str, probe: Run):
    code, found = report(probe, *TOKENS, "--arg", f"name={name}")
    assert (code, found["findings"], found["replayed"]) == (0, [], True)
    assert found["verdict"] == "noise"
    assert found["output"]["argmax_match"] == 1


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_so_it_does_in_bfloat16_and_in_chunks(name: str, probe: Run):
    assert report(probe, *TOKENS, "--arg", f"name={name}", "--dtype", "bf16")[0] == 0
    code, found = report(probe, *TOKENS, "--arg", f"name={name}", "--chunk", "5")
    assert code == 0
    assert found["selftest"]["candidate"] == "prefill of 12 tokens in 3 chunks, 5 decoded"


@pytest.mark.parametrize(
    ("name", "words", "place", "step"),
    [
        ("llama", ["kind=stale"], "model.layers.1.self_attn", 2),
        ("whisper", ["kind=previous_slot", "layer=0", "step=3"], "model.decoder.layers.0.self_attn", 3),
        ("mixtral", ["kind=position"], "model.layers.1.self_attn", 2),
        ("gpt2", ["kind=position", "step=1"], "transformer.wpe", 1),
        ("gemma3", ["kind=window", "layer=0", "window=5"], "model.layers.0.self_attn", 2),
        ("gpt2", ["kind=window", "window=6", "step=4"], "transformer.h.1.attn", 4),
        ("mamba", ["kind=stale_state"], "backbone.layers.1.mixer", 3),
    ],
)
def test_a_bug_of_the_cache_is_seen_at_its_layer_and_step(name, words, place, step, probe: Run):
    arguments = [word for text in (f"name={name}", *words) for word in ("--arg", text)]
    code, found = report(probe, *TOKENS, *arguments)
    assert code == 1
    assert (found["first"]["module"], found["first"]["step"]) == (place, step)
    assert [finding["module"] for finding in found["findings"]] == [place]


def test_a_mamba_of_transformers_that_begins_anew_with_every_chunk_is_seen_to(probe: Run):
    code, found = report(probe, *TOKENS, "--arg", "name=mamba", "--chunk", "6")
    assert (code, found["first"]["module"], found["first"]["step"]) == (1, "backbone.layers.0.mixer", 1)


def test_a_port_that_keeps_its_cache_itself_is_told_where_its_tokens_stand(probe: Run):
    port = "py:tests.own_cache:build"
    sound = json.loads(probe("selftest", port, *TOKENS, "--json").out)
    assert (sound["verdict"], sound["replayed"]) == ("noise", True)
    outcome = probe("selftest", port, *TOKENS, "--arg", "late_in=1", "--json")
    late = json.loads(outcome.out)
    assert outcome.code == 1
    assert (late["first"]["module"], late["first"]["step"]) == ("layers.1", 1)


def test_people_read_which_two_runs_were_compared_and_the_step(probe: Run):
    outcome = probe("selftest", TARGET, *TOKENS, "--arg", "kind=stale")
    first = outcome.out.splitlines()[0]
    assert first == "selftest  reference: one prefill of 17 tokens; candidate: prefill of 12 tokens, 5 decoded"
    assert "DIVERGED" in outcome.out
    assert "step 2" in outcome.out


def test_without_a_text_random_tokens_are_drawn_and_with_one_it_is_gone_on_from(probe: Run):
    drawn = probe("selftest", TARGET, "-o", "drawn").out.splitlines()[0]
    assert drawn.endswith("candidate: prefill of 32 tokens, 8 decoded")
    assert probe("selftest", TARGET, "--tokens", "5,6,7,8", "--decode", "3", "-o", "text").code == 0
    with Dump("text/prefill.h5") as prefill, Dump("text/decode.h5") as decode:
        whole = prefill.inputs()["input_ids"][0][0].tolist()
        steps = [decode.inputs(step)["input_ids"][0][0].tolist() for step in decode.steps]
    assert whole[:4] == [5, 6, 7, 8]
    assert steps == [whole[:4], *([token] for token in whole[4:])]


def test_what_cannot_be_compared_is_said(refused: Refused):
    for words in ([], ["--chunk", "4"]):
        alone = refused("selftest", TARGET, "--tokens", "1,2,3", "--decode", "0", *words)
        assert alone.error == "this is one prefill, and nothing beside it"
    Path("file").write_text("mine")
    assert refused("selftest", TARGET, "-o", "file/runs").error.startswith("cannot make the folder file/runs")
    assert "no step can go on" in refused("selftest", "py:tests.commands.tiny:build", "--tokens", "1,2,3").error
    Path("kept").mkdir()
    Path("kept/decode.h5").write_text("mine")
    assert refused("selftest", TARGET, "-o", "kept").error == "kept/decode.h5 exists already"
    assert Path("kept/decode.h5").read_text() == "mine"
