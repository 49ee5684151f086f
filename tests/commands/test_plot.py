"""`probe plot`: which file is written, what is refused, how it exits; and every kind, of real dumps."""

import json
from pathlib import Path

import pytest
import torch

import probe as library
from tests.cache_bugs import planted
from tests.commands.running import TINY
from tests.conftest import Demo
from tests.ports import bert, references
from tests.stepwise import record_steps
from tests.tiny_decoders import ids, tiny

BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
DEMO = ("dumps/demo-reference.h5", "dumps/demo-port.h5")
OF_REPORTS = ("depth", "ledger", "weights")


def of_values(module: str, tap: str) -> list[list[str]]:
    return [["tokens"], ["channels", "--tap", tap], ["histogram", "--tap", tap], ["attention", "--module", module]]


@pytest.fixture
def saved(probe, reference, faulty) -> Path:
    """The report of tiny's two dumps."""
    path = Path("report.json")
    path.write_text(probe("diff", reference, faulty, "--no-replay", "--json").out)
    return path


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_the_ending_says_what_is_written_and_the_same_is_written_again(probe, saved, ending):
    words = ["plot", "ref.h5", "faulty.h5", "--report", saved, "-o", f"a.{ending}"]
    outcome = probe(*words)
    assert (outcome.code, outcome.err) == (1, "")
    written = Path(f"a.{ending}").read_bytes()
    assert written.startswith(BEGINNINGS[ending])
    assert outcome.out == f"a.{ending}: {len(written) / 1e3:.0f} kB\n"
    assert probe(*words, "--force").code == 1
    assert Path(f"a.{ending}").read_bytes() == written


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["-o", "a.jpg"], "a.jpg is to be a picture", "name it: -o a.png"),
        (["-o", "a"], "a is to be a picture", "name it: -o a.png"),
        (["-o", "kept.png"], "kept.png exists already", "--force"),
        (["-o", "none/a.png"], "there is no folder none", "mkdir -p none"),
        (["-o", "a.png", "--tap", "x"], "--tap has no effect with --kind depth", "--kind channels, histogram"),
        (["-o", "a.png", "--kind", "weights", "--no-replay"], "--no-replay has no effect", "--kind depth, ledger"),
        (["-o", "a.png", "--kind", "logits", "--report", "r.json"], "--report has no effect", "--kind depth, ledger"),
        (["-o", "a.png", "--kind", "tokens", "--token", "3"], "--token has no effect", "--kind logits"),
        (["-o", "a.png", "--kind", "channels"], "--kind channels needs --tap", "--report FILE.json"),
        (["-o", "a.png", "--kind", "attention"], "--kind attention needs --module", "probe show ref.h5"),
        (["-o", "a.png", "--kind", "histogram", "--tap", "head:ou"], "has no tap 'head:ou'", "did you mean head:in"),
        (
            ["-o", "a.png", "--kind", "attention", "--module", "head"],
            "no attention was recorded of 'head'",
            "record it",
        ),
        (["-o", "a.png", "--kind", "logits", "--step", "4"], "no step 4", "it has steps 0 to 0"),
        (["-o", "a.png", "--kind", "tokens", "--step", "4"], "no step 4", "it has steps 0 to 0"),
        (["-o", "a.png", "--map", "none.toml"], "none.toml", ""),
        (["-o", "a.png", "--report", "none.json"], "none.json cannot be read", "probe diff"),
    ],
)
@pytest.mark.usefixtures("faulty")
def test_what_makes_no_sense_is_refused_and_nothing_is_written(refused, words, error, hint):
    Path("kept.png").write_text("mine")
    refusal = refused("plot", "ref.h5", "faulty.h5", *words)
    assert error in refusal.error
    assert hint in refusal.hint
    assert not Path("a.png").exists()
    assert Path("kept.png").read_text() == "mine"


def test_a_report_of_other_dumps_is_refused(refused, saved):
    assert (
        "is a report of ref.h5, not of faulty.h5"
        in refused("plot", "faulty.h5", "ref.h5", "--report", saved, "-o", "a.png").error
    )


@pytest.mark.parametrize("named", ["ref.h5", "faulty.h5"])
def test_a_report_of_what_stood_in_a_dump_before_it_was_recorded_anew_is_refused(probe, refused, saved, named):
    assert probe("plot", "ref.h5", "faulty.h5", "--report", saved, "-o", "a.png").code == 1
    probe("dump", f"{TINY}:build", "--tokens", "7,8,9", "-o", named, "--force")
    for command, output in (("plot", "b.png"), ("report", "b.html")):
        refusal = refused(command, "ref.h5", "faulty.h5", "--report", saved, "-o", output)
        assert refusal.error == f"{named} was recorded anew: {saved} is of other numbers under its name"
        assert f"probe diff ref.h5 faulty.h5 --json > {saved}" in refusal.hint
        assert not Path(output).exists()


@pytest.mark.parametrize("flag", [["--stats-only"], ["--sketch", "4"]])
def test_of_dumps_without_values_the_report_is_drawn_and_the_rest_says_what_to_do(probe, refused, reference, flag):
    probe(
        "dump",
        "py:" + str(Path(__file__).with_name("tiny.py")) + ":build",
        "--inputs",
        reference,
        *flag,
        "-o",
        "less.h5",
    )
    assert probe("plot", "less.h5", "less.h5", "--no-replay", "-o", "depth.png").code == 0
    for words in (
        ["tokens"],
        ["channels", "--tap", "blocks.1:out"],
        ["histogram", "--tap", "blocks.1:out"],
        ["logits"],
    ):
        refusal = refused("plot", "less.h5", "less.h5", "--kind", *words, "-o", "a.png")
        assert "alone" in refusal.error
        assert "record it in full" in refusal.hint


def test_what_a_folder_sets_for_all_commands_does_not_trouble_a_kind_that_it_has_no_effect_on(probe, saved):
    Path("pyproject.toml").write_text("[tool.probe.plot]\nno-replay = true\n")
    for kind in ("tokens", "weights", "logits"):
        assert probe("plot", "ref.h5", "faulty.h5", "--kind", kind, "-o", f"{kind}.svg").code == 0
    assert probe("plot", "ref.h5", "faulty.h5", "-o", "depth.svg").code == 1


def test_a_tap_or_module_that_is_not_given_is_that_of_the_first_divergence_and_said(probe, demo: Demo):
    first = demo.report.first
    assert first is not None
    for kind, subject in (("channels", f"--tap {first.tap}"), ("histogram", f"--tap {first.tap}")):
        given = ["plot", *DEMO, "--kind", kind, "--report", demo.report_path, "--force", "-o"]
        outcome = probe(*given, f"first-{kind}.svg")
        assert (outcome.code, outcome.err) == (0, f"note: {subject}, where the two first diverge\n")
        probe(*given, f"named-{kind}.svg", *subject.split())
        assert Path(f"first-{kind}.svg").read_bytes() == Path(f"named-{kind}.svg").read_bytes()
    words = ["plot", *DEMO, "--kind", "attention", "--force", "-o", "attention.svg"]
    outcome = probe(*words, "--report", demo.report_path)
    assert (outcome.code, outcome.err) == (
        0,
        "note: --module model.layers.0.self_attn, where the two first diverge\n",
    )


def test_of_a_bug_that_begins_in_a_decoded_step_the_whole_sequence_is_drawn(probe):
    paths = [Path("decoded.h5"), Path("buggy.h5")]
    for model, path in zip((tiny("llama"), planted(tiny("llama"), "position", layer=1, step=2)), paths, strict=True):
        record_steps(model, path, ids(10), [6, 1, 1, 1, 1])
    report = library.diff(*paths, reference=tiny("llama"))
    assert report.first is not None
    assert report.first.step == 2
    Path("decoded.json").write_text(json.dumps(report.to_dict()))
    for kind in ("channels", "histogram", "attention", "depth"):
        outcome = probe("plot", *paths, "--report", "decoded.json", "--kind", kind, "-o", f"{kind}.png")
        assert outcome.code == (1 if kind == "depth" else 0), outcome.err


def test_a_report_that_tells_no_subject_is_refused(refused, saved):
    words = ["plot", "ref.h5", "faulty.h5", "--report", saved, "-o", "a.png", "--kind"]
    assert "no attention of its own" in refused(*words, "attention").error
    assert "--report has no effect with --module" in refused(*words, "attention", "--module", "head").error
    told = json.loads(saved.read_text()) | {"verdict": "identical", "first": None, "findings": []}
    saved.write_text(json.dumps(told))
    refusal = refused(*words, "channels")
    assert "tells of no divergence" in refusal.error
    assert "--tap" in refusal.hint


def test_every_kind_is_drawn_of_the_demo_s_dumps(probe, demo: Demo):
    words = [[kind, "--report", demo.report_path] for kind in OF_REPORTS]
    words += [*of_values("model.layers.0.self_attn", "model.layers.0.self_attn:out"), ["logits", "--token", "-2"]]
    for kind, *options in words:
        outcome = probe("plot", *DEMO, "--kind", kind, *options, "-o", f"{kind}.svg", "--force")
        assert (outcome.code, outcome.err) == (1 if kind in ("depth", "ledger") else 0, ""), kind
        assert Path(f"{kind}.svg").stat().st_size > 10_000, kind


def test_every_kind_is_drawn_of_minilm_s_dumps_and_it_has_no_logits(probe, refused):
    model, batch = references.minilm(), dict(references.minilm_batch())
    port = bert.convert(model.state_dict(), model.config, "gelu_tanh", 2)
    for one, path in ((model, "ref.h5"), (port, "cand.h5")):
        with torch.no_grad(), library.record(one, path):
            one(**batch)
    Path("report.json").write_text(probe("diff", "ref.h5", "cand.h5", "--no-replay", "--json").out)
    words = [[kind, "--report", "report.json"] for kind in OF_REPORTS]
    words += of_values("encoder.layer.0.attention.self", "encoder.layer.2.output.dense:out")
    for kind, *options in words:
        outcome = probe("plot", "ref.h5", "cand.h5", "--kind", kind, *options, "-o", f"{kind}.png")
        assert (outcome.code, outcome.err) == (1 if kind in ("depth", "ledger") else 0, ""), kind
    assert "is no logits" in refused("plot", "ref.h5", "cand.h5", "--kind", "logits", "-o", "a.png").error


def test_a_picture_is_of_the_report_that_is_given_and_not_of_a_new_comparison(probe, saved):
    told = json.loads(saved.read_text())
    told["verdict"], told["first"], told["findings"] = "identical", None, []
    for tap in told["taps"]:
        tap["rel_l2"] = 0.0
    saved.write_text(json.dumps(told))
    assert probe("plot", "ref.h5", "faulty.h5", "--report", saved, "-o", "a.png").code == 0
