"""A comparison as Markdown for an issue, and that nothing in it is but text there."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from probe.printable import printable
from probe.render.markdown import LONGEST, code, markdown, plain
from probe.render.runs import Run, run_of
from probe.report import Status, TrustCheck
from tests.render.page import hostile
from tests.render.page.test_document import Read
from tests.tui import made

GITHUB = MarkdownIt("gfm-like", {"html": True})
RUNS = (
    Run("ref.h5", {"model": "hf:a", "dtype": "float32", "config.hidden": "3"}, "probe dump hf:a -o ref.h5"),
    Run("cand.h5", {"model": "py:b", "dtype": "float32", "config.hidden": "4"}, recorded="from Python"),
)
AGAIN = "probe diff ref.h5 cand.h5"


def report_with_logits():
    known = made.report("ref.h5", "cand.h5")
    return replace(known, output=replace(known.output, max_abs=0.125, kl=0.0, argmax_match=1.0, top10_overlap=0.998))


def test_it_is_short_and_has_verdict_table_findings_environment_and_commands():
    text = markdown(report_with_logits(), *RUNS, [AGAIN])
    assert len(text.splitlines()) < 40
    assert text.splitlines()[:5] == [
        "**DIVERGED**: first at model.layers.0.self_attn, tap model.layers.0.self_attn:out",
        "",
        "| Candidate | Max Logit Diff | Relative error | KL | Argmax match | Top-10 |",
        "| :--- | ---: | ---: | ---: | ---: | ---: |",
        "| `cand.h5` | 1.2e-01 | 0 | 0 | 100.0% | 99.8% |",
    ]
    for words in (
        "- `model.layers.0.self_attn`: `attn.window`: attention has a window of 9",
        "its error of 4.0e-02 falls to 3.1e-07",
        "24 tokens do not exercise rope scaling",
        "- model: `hf:a` / `py:b` (reference / candidate)",
        "- dtype: `float32`\n",
        "- config.hidden: `3` / `4` (reference / candidate)",
        f"```sh\nprobe dump hf:a -o ref.h5\n# candidate: from Python\n{AGAIN}\n```",
    ):
        assert words in text


def test_many_findings_and_doubts_stay_under_forty_lines():
    known = report_with_logits()
    many = replace(
        known, findings=known.findings * 20, trust=known.trust * 20, next_commands=("probe dump a", "probe dump b")
    )
    facts = {f"config.{number}": "1" for number in range(100)}
    runs = (replace(RUNS[0], facts=facts), replace(RUNS[1], facts=dict.fromkeys(facts, "2")))
    text = markdown(many, *runs, [AGAIN])
    assert len(text.splitlines()) < 40
    assert "and 35 more" in text


def test_what_makes_the_verdict_void_comes_before_it():
    failed = TrustCheck("inputs", Status.FAIL, "the two were fed other tokens")
    text = markdown(replace(report_with_logits(), trust=(failed,)), *RUNS, [])
    assert text.startswith("**FAIL**: the two were fed other tokens\n\n**DIVERGED**")


def test_what_is_no_logits_is_not_called_so():
    assert "| Max Diff |" in markdown(made.report("r", "c"), *RUNS, [])
    assert "| not compared |" in markdown(replace(made.report("r", "c"), output=None), *RUNS, [])


@pytest.mark.parametrize(
    "name", [*hostile.NAMES, "``", "`a``b`", "GH-1 www.x.org https://x.org a@b.org ~~x~~ _y_ __z__"]
)
def test_a_name_is_what_it_is_and_does_nothing(name):
    shown = " ".join(printable(name).split())
    read = Read(GITHUB.render(f"- {plain(name)}"))
    assert set(read.tags) == {"ul", "li"}
    assert read.text.replace("\u200b", "") == shown
    for trigger in ("@someone", "#1", "://x", "www.x", "GH-1"):
        assert trigger not in read.text
    read = Read(GITHUB.render(code(name)))
    assert set(read.tags) == {"p", "code"}
    assert read.text == shown if len(shown) <= LONGEST else len(read.text) == LONGEST


def test_a_whole_comparison_of_hostile_names_is_text(tmp_path):
    path = tmp_path / "a|`b`<i>.h5"
    hostile.write(path)
    text = markdown(hostile.report(path, path), run_of(path), run_of(path), hostile.NAMES)
    read = Read(GITHUB.render(text))
    assert set(read.tags) <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "pre"}
    assert read.tags["td"] == 6
    assert read.attributes <= {"class", "style"}  # of the fence's language, of the cells' alignment
    assert "\x1b" not in text
