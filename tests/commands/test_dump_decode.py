"""`probe dump --decode`: a step for each token, and another run's tokens where they are given."""

import json
from itertools import chain

import pytest

from probe.dump import Dump
from tests.commands.running import Refused, Run

LLAMA = ["py:tests.cache_bugs:target", "--arg", "name=llama"]
PORT = ["py:tests.cache_bugs:target", "--arg", "name=gpt2"]
"""Another model of the same vocabulary: it would have said other tokens."""
PROMPT = ["--tokens", "5,6,7,8,9,10,11"]


def tokens(path):
    with Dump(path) as dump:
        return [dump.inputs(step)["input_ids"][0].tolist() for step in dump.steps]


def test_decoded_tokens_are_the_likeliest_one_a_step(probe: Run):
    outcome = probe("dump", *LLAMA, *PROMPT, "--decode", "3", "-o", "x.h5")
    assert outcome.out.endswith(" MB (prefill of 7 tokens, 3 decoded)\n")
    _, *steps = tokens("x.h5")
    assert [len(row) for [row] in steps] == [1, 1, 1]
    with Dump("x.h5") as dump:
        said = [int(dump.read(dump.tap(":out.logits", step))[0, -1].argmax()) for step in dump.steps]
    assert [row[0] for [row] in steps] == said[:-1]
    shown = probe("show", "x.h5").out
    assert "in 4 steps (prefill of 7 tokens, 3 decoded)" in shown
    assert json.loads(probe("show", "x.h5", "--json").out)["past"] == [0, 7, 8, 9]


def test_a_prefill_may_come_in_chunks(probe: Run):
    outcome = probe("dump", *LLAMA, *PROMPT, "--decode", "2", "--chunk", "4", "-o", "x.h5")
    assert outcome.out.endswith("(prefill of 7 tokens in 2 chunks, 2 decoded)\n")


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ([], [7, 1, 1, 1]),
        (["--decode", "0"], [10]),
        (["--decode", "5"], [5, 1, 1, 1, 1, 1]),
        (["--decode", "2", "--chunk", "6"], [6, 2, 1, 1]),
    ],
)
def test_a_candidate_is_fed_the_reference_s_tokens_in_whatever_steps(words, sizes, probe: Run):
    probe("dump", *LLAMA, *PROMPT, "--decode", "3", "-o", "ref.h5")
    outcome = probe("dump", *PORT, "--inputs", "ref.h5", *words, "-o", "x.h5")
    assert outcome.code == 0
    fed = tokens("x.h5")
    assert [len(row) for [row] in fed] == sizes
    assert list(chain(*(row for [row] in fed))) == list(chain(*(row for [row] in tokens("ref.h5"))))


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "mixtral", "whisper", "mamba"])
def test_a_candidate_of_any_kind_that_is_fed_the_reference_s_tokens_is_compared_with_it(name, probe: Run):
    """In one step for the reference's four it agrees; with a bug of the cache in layer 1 it does not."""
    target = ["py:tests.cache_bugs:target", "--arg", f"name={name}"]
    kind = "stale_state" if name == "mamba" else "stale"
    assert probe("dump", *target, *PROMPT, "--decode", "3", "-o", "ref.h5").code == 0
    for file, words in (("sound.h5", ["--decode", "0"]), ("stale.h5", ["--arg", f"kind={kind}"])):
        assert probe("dump", *target, "--inputs", "ref.h5", *words, "-o", file).code == 0
    sound = json.loads(probe("diff", "ref.h5", "sound.h5", "--json").out)
    assert (sound["verdict"] in ("noise", "identical"), sound["replayed"], sound["findings"]) == (True, True, [])
    stale = json.loads(probe("diff", "ref.h5", "stale.h5", "--no-replay", "--json").out)
    assert stale["verdict"] == "diverged"
    assert ".1." in stale["first"]["module"]


def test_a_note_says_where_a_candidate_would_have_gone_on_otherwise(probe: Run):
    probe("dump", *LLAMA, *PROMPT, "--decode", "3", "-o", "ref.h5")
    same = probe("dump", *LLAMA, "--inputs", "ref.h5", "-o", "same.h5")
    assert "would have said" not in same.err
    _, *given = tokens("ref.h5")
    for words in ([], ["--decode", "0"]):
        other = probe("dump", *PORT, "--inputs", "ref.h5", *words, "-o", "other.h5", "--force")
        lines = [line for line in other.err.splitlines() if "would have said" in line]
        assert lines[0].startswith("note: step 1: this run would have said ")
        assert lines[0].endswith(f"ref.h5 said {given[0][0][0]}")


def test_steps_are_repeated_with_the_same_tokens(probe: Run):
    outcome = probe("dump", *LLAMA, *PROMPT, "--decode", "3", "--repeat", "2", "-o", "x.h5")
    assert "2 runs on the same inputs are the same bit for bit" in outcome.err


def test_what_cannot_be_decoded_is_said_before_anything_is_written(refused: Refused, tmp_path):
    refusal = refused("dump", "py:tests.commands.tiny:build", *PROMPT, "--decode", "3", "-o", "x.h5")
    assert "no step can go on from another" in refusal.error
    assert "without --decode" in refusal.hint
    assert refused("dump", *LLAMA, *PROMPT, "--chunk", "0", "-o", "x.h5").error == "--chunk 0: at least 1 is needed"
    assert not list(tmp_path.glob("x.h5*"))
