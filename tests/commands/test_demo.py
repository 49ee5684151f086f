"""`probe demo` in a folder of its own, and `probe env`: the first two commands that anybody runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from probe import __version__
from probe.commands.demo import PORT, PORT_DUMP
from tests.commands.running import Outcome, Run

WINDOW = [f"model.layers.{number}.self_attn" for number in (0, 2, 4)]
EPS = ["model.layers.3.post_feedforward_layernorm"]


def test_the_demo_finds_both_bugs_and_what_it_proposes_works(probe: Run):
    """Over what an earlier run left behind. The demo as text is tested with the README."""
    Path("dumps").mkdir()
    for name in ("reference", "port"):
        Path(f"dumps/demo-{name}.h5").write_text("left behind")
    demo = probe("demo", "--json")
    assert demo.code == 0
    assert_both_bugs_are_found_and_nothing_else(json.loads(demo.out))
    proposed = [line.split()[1:] for line in demo.err.splitlines() if line.startswith("  probe ")]
    assert [words[0] for words in proposed] == ["show", "show", "diff", "dump", "diff"]
    show, show_tap, _, dump, diff = proposed
    for words in (show, show_tap, dump):
        assert probe(*words).code == 0
    assert_it_is_noise(probe(*diff, "--json"))
    Path("demo.json").write_text(demo.out)
    assert probe("report", *diff[1:2], PORT_DUMP, "--report", "demo.json", "-o", "demo.html").code == 1
    assert_a_page_has_both_bugs_and_all_pictures(Path("demo.html").read_text())


def assert_both_bugs_are_found_and_nothing_else(report: Any) -> None:
    assert (report["verdict"], report["replayed"]) == ("diverged", True)
    assert report["first"]["module"] == WINDOW[0]
    assert [finding["modules"] for finding in report["findings"]] == [WINDOW, EPS]


def assert_a_page_has_both_bugs_and_all_pictures(page: str) -> None:
    for cause in ("attn.window", "norm.eps"):
        assert f'<span class="cause">{cause}</span>' in page
    assert "Not here:" not in page
    assert page.count("<figure>") == page.count("<svg ") == 8


def assert_it_is_noise(compared: Outcome) -> None:
    """The port without its bugs."""
    report = json.loads(compared.out)
    assert (compared.code, report["verdict"], report["replayed"]) == (0, "noise", True)


def test_an_unknown_bug_is_answered_with_the_known_ones(probe: Run):
    outcome = probe("dump", PORT, "--arg", "bugs=rope", "--random-tokens", "4", "-o", "x.h5")
    assert outcome.err == "probe: error: no such bug: rope\nhint: the demo's port has eps, window\n"


def test_env_says_what_is_there_as_text_and_as_json(probe: Run):
    text, found = probe("env"), json.loads(probe("env", "--json").out)
    assert found["probe"] == __version__
    assert {
        "python",
        "platform",
        "torch",
        "transformers",
        "numpy",
        "h5py",
        "gguf",
        "accelerator",
        "threads",
    } <= found.keys()
    lines = dict(line.split(maxsplit=1) for line in text.out.splitlines())
    assert lines == found


def test_env_says_how_to_get_what_is_missing(probe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As far as importlib.metadata can see, nothing is installed."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    outcome = probe("env")
    assert outcome.code == 0
    assert "einops           not installed (pip install einops)" in outcome.out
    assert "xllamacpp        not installed (pip install xllamacpp)" in outcome.out
    assert "onnxruntime      not installed (pip install onnxruntime)" in outcome.out
