"""The page as a browser without scripts reads it: what is on it, and that nothing in it is but text."""

import json
import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from probe.printable import printable
from probe.render.page import Line, Picture, document
from probe.render.page.rows import WORST
from probe.render.runs import Run, run_of
from probe.report import Seen, Status, TrustCheck, Verdict
from tests.render.page import hostile
from tests.tui import made


class Read(HTMLParser):
    """Tags and their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.parts: list[str] = []
        self.scripts: list[str] = []
        self._raw = False
        self.feed(page)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        (self.scripts if self._raw else self.parts).append(data)


RUNS = Run("ref.h5", {"dtype": "float32", "device": "cpu"}, "probe dump hf:a"), Run("cand.h5", recorded="by hand")

AGAIN = Line("again", "probe diff ref.h5 cand.h5")


@pytest.fixture
def known(tmp_path):
    return made.report(tmp_path / "ref.h5", tmp_path / "cand.h5")


def page_of(report, runs=RUNS, pictures=(), compared=(AGAIN,)) -> str:
    return document(report, *runs, pictures, compared)


def test_it_opens_on_the_verdict_and_goes_on_to_findings_trust_taps_runs_and_commands(known):
    text = Read(page_of(known)).text
    order = [
        "DIVERGED first at model.layers.0.self_attn",
        "24 tokens do not exercise rope scaling past 8192",
        "swapped: holds model.norm's",
        "model.layers.0.self_attn attn.window",
        "its error of 4.0e-02 falls to 3.1e-07 once that is planted into the reference, and 98.4 % of the output's",
        "reference has 8",
        "model.layers.1.post_norm norm.eps",
        "planted together, these findings explain 99.998 % of the output's error",
        "1 taps of the reference have no counterpart model.layers.1.mlp.act_fn:out",
        "the worst by ratio to the floor first",
        "dtype float32 not told",
        "probe dump hf:a",
        "by hand",
        "probe diff ref.h5 cand.h5",
    ]
    places = [text.find(words) for words in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def test_what_makes_the_verdict_void_stands_above_it_and_a_doubt_below(known):
    failed = TrustCheck("inputs", Status.FAIL, "the two were fed other tokens")
    doubt = TrustCheck("length", Status.WARN, "24 tokens are few")
    text = Read(page_of(replace(known, trust=(doubt, failed)))).text
    order = [text.index(words) for words in ("FAIL the two were", "DIVERGED first", "WARN 24 tokens", "attn.window")]
    assert order == sorted(order)


def test_no_finding_is_said_so(known):
    clean = replace(known, verdict=Verdict.NOISE, first=None, findings=(), explained=None, weights=())
    text = Read(page_of(clean)).text
    assert "NOISE the two differ by honest rounding alone" in text
    assert "None: the two differ by honest rounding alone." in text
    assert "First divergence" not in text


def test_a_first_place_that_is_no_tap_has_no_neighbourhood(known):
    text = Read(page_of(replace(known, first=replace(known.first, tap="nowhere:out")))).text
    assert "tap nowhere:out" in text
    assert "First divergence" not in text


def test_settings_that_differ_are_marked_and_the_equal_ones_counted():
    runs = Run("r", {"dtype": "float32", "device": "cpu"}), Run("c", {"dtype": "bfloat16", "device": "cpu"})
    page = page_of(made.report("r", "c"), runs)
    assert re.search(r'<tr class="differs"><td><abbr title="differs">', page)
    text = Read(page).text
    assert "dtype float32 bfloat16" in text
    assert "1 settings are the same in both" in text


def test_a_dump_that_has_gone_is_told_and_the_rest_is_there(tmp_path, known):
    gone = run_of(tmp_path / "gone.h5")
    text = Read(page_of(known, (gone, RUNS[1]), [Picture("tokens", missing="it is gone")])).text
    assert f"not known of {gone.path}" in text
    assert "tokens : it is gone" in text
    assert "attn.window" in text


def test_what_a_figure_is_known_from_is_told_with_it(known):
    seen = [Seen.SKETCH, Seen.STATISTICS, Seen.NOTHING]
    rows = [replace(row, rel_l2=0.1, seen=one, rel_l2_stderr=0.01) for row, one in zip(known.taps, seen, strict=False)]
    columns = json.loads(Read(page_of(replace(known, taps=tuple(rows), first=None))).scripts[1])["columns"]
    assert columns[5] == ["1.0e-01 \u00b1 1.0e-02", "\u2265 1.0e-01", ""]


def test_rows_that_are_left_out_of_print_are_counted_and_the_worst_are_there(known):
    """The script's rows are complete."""
    last = replace(known.taps[0], reference="the.worst:out", ratio=1e9)
    many = replace(known, taps=(*known.taps, *[replace(known.taps[0], ratio=0.5)] * 500, last))
    read = Read(page_of(many))
    assert f"The {WORST} worst of {len(many.taps)} taps by ratio to the floor" in read.text
    assert f"{len(many.taps) - WORST} are left out here" in read.text
    assert read.text.count("the.worst:out") == 1
    assert read.tags["tr"] < 2 * WORST
    assert len(json.loads(read.scripts[1])["columns"][0]) == len(many.taps)


def test_names_that_are_markup_scripts_escapes_or_very_long_are_text(tmp_path):
    paths = tmp_path / "<b>ref.h5", tmp_path / "<b>cand.h5"
    for path in paths:
        hostile.write(path)
    report = hostile.report(*paths)
    runs = run_of(paths[0]), run_of(paths[1])
    title = hostile.NAMES[0]
    page = page_of(report, runs, [Picture(title, missing=title)], [Line(title, title), Line(title, title, False)])
    read, harmless = Read(page), Read(page_of(made.report(*paths), RUNS, [Picture("a", missing="b")]))
    assert set(read.tags) - {"pre"} <= set(harmless.tags)
    assert read.attributes <= harmless.attributes | {"open"}
    assert len(read.scripts) == 3  # the style, the rows, and the script
    for name in hostile.NAMES:
        assert " ".join(printable(name).split()) in read.text
        assert read.text.count(" ".join(printable(name).split())) >= 12
    assert not {"\x1b", "\x07", "\u202e", "\u2028", "\u2029", "\x00"} & set(page)
    assert json.loads(read.scripts[1])["columns"][1] == [printable(name) for name in hostile.NAMES]


def test_the_policy_lets_in_its_own_script_and_style_alone(known):
    page = page_of(known)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    inside = re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    assert [kind for kind, _ in inside] == ["style", "script"]
    for kind, text in inside:
        assert f"{kind}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert " style=" not in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
