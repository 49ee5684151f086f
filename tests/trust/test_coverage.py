"""What an input cannot show: each gap from a configuration that has it, and one that has not; each with a command."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probe
from probe.align.pairs import align
from probe.cli import build_parser
from probe.dump import Dump
from probe.report import Status
from probe.tap import Tap
from probe.trust.coverage import LINE, MOST_LINES, cannot_show
from tests.trust.conftest import Recorded
from tests.trust.model import build, ids
from tests.trust.retelling import instead, retold

HF = {"kind": "hf", "place": "models/some model", "arguments": {}}
WHOLE = {"model_type": "llama", "vocab_size": 48}
MASK = np.array([[1] * 9, [0, 0, 0, 1, 1, 1, 1, 1, 1]])


@pytest.fixture
def notes(reference: Path, tmp_path: Path):
    """What is said of a run of nine tokens, two sentences and one padded, under this configuration."""

    def of(
        config: dict[str, Any], *, padded: bool = True, target: Any = HF, retell: Any = None, **more: Any
    ) -> list[str]:
        more = {"config": WHOLE | config, "target": target} | more
        feed = {"attention_mask": MASK} if padded else {}
        path = retold(reference, tmp_path / "r.h5", instead(retell or {}), inputs=lambda fed: fed | feed, **more)
        with Dump(path) as ours:
            said = list(cannot_show(ours, ours, align(ours, ours)))
        assert {check.status for check in said} <= {Status.OK}
        return [check.message.removeprefix("this input cannot show ") for check in said]

    return of


def runs(command: str) -> Any:
    """The arguments of a command that `probe` takes; exits where it does not."""
    words = shlex.split(command)
    assert words[:2] == ["probe", "dump"]
    return build_parser(words[1:]).parse_args(words[1:])


WINDOWS = {
    "sliding": {"sliding_window": 1024},
    "of some layers": {"sliding_window": 1024, "layer_types": ["full_attention", "sliding_attention"]},
    "chunks": {"attention_chunk_size": 1024},
    "both sides": {"local_attention": 2048},
    "a part's": {"text_config": WHOLE | {"sliding_window": 1024}},
}


@pytest.mark.parametrize("config", WINDOWS.values(), ids=WINDOWS)
def test_a_window_longer_than_the_prompt(config: dict[str, Any], notes):
    [said] = notes(config)
    what, _, command = said.partition(": ")
    assert what == "a window of 1,024 tokens (it has 9)"
    assert command == "probe dump 'hf:models/some model' --random-tokens 1100 -o other.h5"
    assert runs(command).random_tokens == 1100


@pytest.mark.parametrize(
    "config",
    [
        {"sliding_window": 8},
        {"sliding_window": None},
        {"sliding_window": 1024, "use_sliding_window": False},
        {"sliding_window": 1024, "layer_types": ["full_attention"] * 12},
        {},
    ],
    ids=json.dumps,
)
def test_a_window_that_shows_or_is_not_there(config: dict[str, Any], notes):
    assert notes(config) == []


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": LLAMA3},
        {"rope_parameters": LLAMA3},
        {"rope_parameters": {"full_attention": LLAMA3, "sliding_attention": {"rope_type": "default"}}},
        {"rope_scaling": {"type": "longrope", "long_factor": [1.0]}, "original_max_position_embeddings": 8192},
        {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}},
        {"rope_scaling": {"type": "dynamic", "factor": 4.0}, "max_position_embeddings": 8192},
    ],
    ids=json.dumps,
)
def test_rope_scaling_beyond_the_prompt(config: dict[str, Any], notes):
    [said] = notes(config)
    assert "past 8,192 tokens" in said
    assert said.endswith("--random-tokens 8800 -o other.h5")


@pytest.mark.parametrize(
    "rope",
    [{"rope_type": "default"}, {"type": "linear", "factor": 4.0}, LLAMA3 | {"original_max_position_embeddings": 8}],
)
def test_rope_scaling_that_every_prompt_shows_or_that_is_none(rope: dict[str, Any], notes):
    assert notes({"rope_scaling": rope}) == []


def test_a_window_and_a_far_longer_scaling_are_two_commands_and_near_ones_one(notes):
    assert len(notes({"sliding_window": 1024, "rope_scaling": LLAMA3})) == 2
    [said] = notes({"sliding_window": 4096, "rope_scaling": LLAMA3})
    assert "a window of 4,096 tokens (it has 9) and rope scaling (llama3) past 8,192 tokens: " in said


def logits_of(size: float, name: str = ":out"):
    def scaled(dump: Dump, tap: Tap) -> Any:
        bits = dump.bits(tap)
        return (bits * (size / np.abs(bits).max())).astype(np.float32)

    return {name: scaled}


def softcapped(recorded: Recorded, tmp_path: Path, largest: float, dtype: str) -> list[str]:
    """A model whose output has a name, `logits`, as transformers' has."""

    class Named(type(build())):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return {"logits": super().forward(*args, **kwargs)}

    model = build()
    model.__class__ = Named
    source = recorded("named", model)
    with Dump(source) as dump:
        environment = dump.environment | {"dtype": dtype}
    config = WHOLE | {"final_logit_softcapping": 30.0, "attn_logit_softcapping": None}
    path = retold(
        source,
        tmp_path / "r.h5",
        instead(logits_of(largest, ":out.logits")),
        environment=environment,
        config=config,
        target=HF,
        inputs=lambda fed: fed | {"attention_mask": MASK},
    )
    with Dump(path) as ours:
        return [check.message for check in cannot_show(ours, ours, align(ours, ours))]


@pytest.mark.parametrize(
    ("largest", "dtype", "hidden"),
    [(1.0, "bfloat16", True), (20.0, "bfloat16", False), (1.0, "float32", False), (0.01, "float32", True)],
)
def test_a_softcap_on_logits_too_small_for_their_dtype(largest, dtype, hidden, recorded: Recorded, tmp_path: Path):
    said = softcapped(recorded, tmp_path, largest, dtype)
    assert len(said) == hidden
    if hidden:
        assert f"a softcap of 30 on logits of at most {largest:.2g}: " in said[0]
        assert runs(said[0].partition(": ")[2]).dtype == "fp32"


@pytest.mark.parametrize(("dtype", "hidden"), [("bfloat16", True), ("float16", True), ("float32", False)])
def test_a_softcap_on_scores_is_only_lost_in_a_small_dtype(dtype: str, hidden: bool, notes):
    said = notes({"attn_logit_softcapping": 50.0}, environment={"dtype": dtype})
    assert len(said) == hidden
    assert not hidden or "a softcap of 50 on small attention scores" in said[0]


def test_padding(notes):
    [said] = notes({}, padded=False)
    assert said.startswith("padding: probe dump 'hf:models/some model' --prompt ")
    assert len(runs(said.partition(": ")[2]).prompt) == 2
    [live] = notes({}, padded=False, target={})
    assert live == "padding: feed two sentences of unequal length and their attention_mask"


def test_decoding(notes, recorded: Recorded, tmp_path: Path):
    [said] = notes({"architectures": ["LlamaForCausalLM"]})
    assert said.startswith("decoding with a cache: probe dump 'hf:models/some model' --inputs ")
    assert runs(said.partition(": ")[2]).decode == 8
    [live] = notes({"architectures": ["LlamaForCausalLM"]}, target={})
    assert live.startswith("decoding with a cache: with probe.record(model, FILE): model.generate(")
    assert notes({"architectures": ["BertModel"]}) == []
    steps = [{"input_ids": ids(seed, num_tokens=9 if not seed else 1)} for seed in range(2)]
    two = retold(recorded("two", None, *steps), tmp_path / "two.h5", config={"architectures": ["LlamaForCausalLM"]})
    with Dump(two) as ours:
        assert list(cannot_show(ours, ours, align(ours, ours))) == []


def test_a_model_that_tells_nothing_of_itself_has_no_gap(reference: Path, tmp_path: Path):
    path = retold(reference, tmp_path / "r.h5", config=None, environment={})
    with Dump(path) as ours:
        assert list(cannot_show(ours, ours, align(ours, ours))) == []


@pytest.mark.parametrize(
    "config", [[], "text", 7, {"sliding_window": "x", "rope_scaling": [1], "architectures": 3}], ids=repr
)
def test_a_hostile_configuration_is_no_crash(config: Any, reference: Path, tmp_path: Path):
    with Dump(retold(reference, tmp_path / "r.h5", config=config, target=[1])) as ours:
        list(cannot_show(ours, ours, align(ours, ours)))


def test_never_more_than_six_lines(notes):
    config = {
        "sliding_window": 1024,
        "rope_scaling": LLAMA3 | {"original_max_position_embeddings": 1 << 20},
        "attn_logit_softcapping": 50.0,
        "architectures": ["GemmaForCausalLM"],
    }
    long = HF | {"place": "models/" + "x" * 30}
    said = notes(config, padded=False, target=long, environment={"dtype": "bfloat16"})
    assert len(said) == 5
    told = [f"this input cannot show {note}" for note in said]
    assert sum(-(-len(note) // LINE) for note in told) <= MOST_LINES
    assert "--random-tokens 1100" in said[0]
    assert said[-1] == "decoding with a cache"


def test_gaps_stand_in_the_report_below_its_verdict(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from probe.render.text import print_report

    path = retold(reference, tmp_path / "r.h5", config={"sliding_window": 1024})
    report = probe.diff(path, path, replay=False)
    said = "this input cannot show a window of 1,024 tokens (it has 9): feed it 1,100 tokens"
    assert {"check": "coverage", "status": "ok", "message": said} in report.to_dict()["trust"]
    print_report(report)
    assert f"trust     ok: {said}" in capsys.readouterr().out
