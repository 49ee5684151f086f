"""Error over depth of decoded steps: each has a line of its own tokens' error."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

import probe
from probe.render.page.picture import inline
from probe.render.page.pictures import DEPTH, pictures
from probe.render.plots.by_step import PIECE, READ, BySteps, few
from probe.render.plots.logarithm import logarithm
from probe.render.plots.step_lines import MOST_LINES, draw_bar, draw_steps, drawn, notes_of
from probe.render.plots.style import WIDTH, width_of
from probe.report import Place
from tests.cache_bugs import planted
from tests.stepwise import record_steps
from tests.tiny_decoders import ids, tiny

PREFILLED, DECODED, BUG = 6, 5, 2
NAMES = ["prefill", *(f"step {step}" for step in range(1, DECODED + 1))]
ROUNDING = 1e-5


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def decoded(request, tmp_path_factory):
    """Paths and report of a model, and of one that takes tokens for later ones from step 2 on."""
    folder, tokens = tmp_path_factory.mktemp("decoded"), ids(PREFILLED + DECODED)
    paths = folder / "ref.h5", folder / "cand.h5"
    models = tiny(request.param), planted(tiny(request.param), "position", layer=1, step=BUG)
    for model, path in zip(models, paths, strict=True):
        record_steps(model, path, tokens, [PREFILLED] + [1] * DECODED)
    return *paths, probe.diff(*paths, replay=False)


def lines(figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Places and decades of each step, by its name."""
    prefix = "tokens of "
    found = [one for axes in figure.axes for one in axes.lines if str(one.get_label()).startswith(prefix)]
    return {
        one.get_label().removeprefix(prefix): (np.asarray(one.get_xdata(), int), np.asarray(one.get_ydata()))
        for one in found
    }


def words(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_bug_of_the_cache_is_seen_from_its_step_on(decoded):
    reference, candidate, report = decoded
    figure = probe.plot.depth(report, reference, candidate)
    found = lines(figure)
    assert list(found) == NAMES
    for number, name in enumerate(NAMES):
        highest = found[name][1].max()
        assert (highest < np.log10(ROUNDING)) if number < BUG else (highest > -3), name
    bar = figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == NAMES
    thick = max(figure.axes[0].lines, key=lambda one: one.get_linewidth() * ("tokens" in str(one.get_label())))
    assert thick.get_label() == f"tokens of step {BUG}"
    assert f"from step {BUG} on" in words(figure)


def test_a_line_is_the_error_of_that_step_s_own_tensors(decoded):
    reference, candidate, report = decoded
    found = lines(probe.plot.depth(report, reference, candidate))
    names = list(dict.fromkeys(row.reference for row in report.taps if ".@" not in row.reference))
    with probe.open(reference) as ours, probe.open(candidate) as theirs:
        for step, (places, decades) in enumerate(found.values()):
            assert len(places) > 10
            for place, decade in zip(places, decades, strict=True):
                r, c = (dump.read(dump.tap(names[place], step)).astype(float) for dump in (ours, theirs))
                error = np.linalg.norm(c - r) / np.linalg.norm(r)
                assert decade == pytest.approx(np.log10(error), abs=1e-6) if error else decade < -8


def test_without_the_dumps_or_of_one_prefill_the_picture_is_what_it_was(decoded, tmp_path):
    assert not lines(probe.plot.depth(decoded[2]))
    paths = [record_steps(tiny("llama"), tmp_path / f"{side}.h5", ids(4), [4]) for side in ("r", "c")]
    figure = probe.plot.depth(probe.diff(*paths, replay=False), *paths)
    assert not lines(figure)
    assert len(figure.axes) == 1


def test_a_decode_beside_one_prefill_has_the_decode_s_steps(decoded, tmp_path):
    name = "gpt2" if "transformer.h.0:out" in {row.reference for row in decoded[2].taps} else "llama"
    whole = record_steps(tiny(name), tmp_path / "whole.h5", ids(PREFILLED + DECODED), [PREFILLED + DECODED])
    for paths in ((whole, decoded[1]), (decoded[1], whole)):
        found = lines(probe.plot.depth(probe.diff(*paths, replay=False), *paths))
        assert list(found) == NAMES
        assert [decades.max() > -3 for _, decades in found.values()] == [number >= BUG for number in range(len(NAMES))]


def test_of_dumps_that_kept_no_values_no_step_is_drawn(tmp_path):
    paths = [tmp_path / "r.h5", tmp_path / "c.h5"]
    model, tokens = tiny("llama"), ids(4)
    for path in paths:
        with probe.record(model, path, stats_only=True):
            cache = model(tokens[:, :3], use_cache=True).past_key_values
            model(tokens[:, 3:], use_cache=True, past_key_values=cache)
    report = probe.diff(*paths, replay=False)
    assert not lines(probe.plot.depth(report, *paths))


def test_of_several_sequences_that_is_drawn_in_which_the_two_first_diverge(tmp_path):
    model, paths = tiny("llama"), [tmp_path / "r.h5", tmp_path / "c.h5"]
    for path in paths:
        with torch.no_grad(), probe.record(model, path):
            for seed in (0, 1):
                cache = model(ids(3, seed=seed), use_cache=True).past_key_values
                model(ids(1, seed=seed), use_cache=True, past_key_values=cache)
    plain = probe.diff(*paths, replay=False)
    tap = "model.layers.0.mlp:out"
    place = Place("model.layers.0.mlp", tap, 0, 0.1, 1e-7, 1e6)
    for replayed, step, sequence in ((False, 0, 0), (False, 1, 1), (True, 1, 0), (True, 3, 1)):
        report = replace(plain, first=replace(place, step=step), replayed=replayed)
        told = words(probe.plot.depth(report, *paths))
        assert f"lines of steps are of sequence {sequence}, and not of 1 more" in told


def steps(count: int, begins: int | None = None) -> BySteps:
    errors = np.full((count, 3), 1e-7)
    if begins is not None:
        errors[begins:] = 1e-2
    return BySteps(0, ("prefill", *(f"step {step}" for step in range(1, count))), np.arange(3), errors, begins, 0, 0)


@pytest.mark.parametrize("begins", [None, 1, 137])
def test_of_many_steps_some_are_drawn_with_the_one_from_which_errors_stand_out(begins):
    found = steps(200, begins)
    chosen = drawn(found)
    assert {0, 199} <= set(chosen)
    assert len(chosen) <= MOST_LINES + 2
    figure = Figure()
    lower, bar = figure.subplots(1, 2)
    draw_steps(lower, found, logarithm(found.errors, low=-8, high=0), 3)
    draw_bar(figure, bar, found)
    assert len(lower.lines) == len(chosen)
    named = [label.get_text() for label in bar.get_yticklabels()]
    assert named == (
        ["step 1", "step 199"] if begins == 1 else ["prefill", *["step 137"] * (begins == 137), "step 199"]
    )
    assert f"{len(chosen)} of 200 steps have a line" in notes_of(found)
    assert (f"from step {begins} on" in " ".join(notes_of(found))) == (begins is not None)
    if begins:
        assert {begins - 1, begins} <= set(chosen)


def test_what_is_not_drawn_is_told():
    told = notes_of(replace(steps(4, 0), num_unread=7, num_other=2))
    assert told == ["lines of steps are of sequence 0, and not of 2 more; 7 of 10 taps were not read for them"]
    longest = replace(steps(1000, 500), sequence=100, num_unread=1000, num_other=100)
    assert all(width_of(line) < WIDTH - 0.2 for line in notes_of(longest))


def test_of_large_dumps_taps_are_read_evenly_and_no_more_than_that():
    assert few([1000] * 30, 40) == list(range(30))
    for sizes, num_steps in (([READ // 8] * 100, 2), ([10] * 3000, 500), ([READ * 2, *[READ // 9] * 40], 3)):
        chosen = few(sizes, num_steps, -1)
        assert 1 <= len(chosen) < len(sizes)
        assert sum(sizes[index] + PIECE * num_steps for index in chosen) <= READ
        assert len(set(np.diff(chosen).tolist())) <= 1
        assert chosen[-1] > len(sizes) / 2
        around = few(sizes, num_steps, 36)
        assert {35, 36} <= set(around)
        assert set(chosen) <= set(around)


def test_the_page_has_the_lines_of_steps_too(decoded):
    reference, candidate, report = decoded
    first = pictures(report, reference, candidate)[0]
    assert first.title == DEPTH
    assert first.svg == inline(probe.plot.depth(report, reference, candidate), "error-", DEPTH)
    assert first.svg != inline(probe.plot.depth(report), "error-", DEPTH)
