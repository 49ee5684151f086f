"""Pictures of two dumps' values: what maps, bars and marks in them are made of."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import probe
from probe.align.opened import opened
from probe.dump import DumpWriter
from probe.errors import ProbeError
from probe.render.plots.layers import layers
from probe.tap import Tap
from probe.views import difference_grid, probabilities
from tests.ports import references
from tests.render.page import hostile
from tests.stepwise import record_steps
from tests.tui import made

Arrays = dict[str, "np.ndarray"]
RANDOM = np.random.default_rng(0)
OUT, TOKENS, HEADS = f"{made.ATTENTION}:out", 12, 2


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for name, bugs in (("reference.h5", False), ("candidate.h5", True)):
        made.write(folder / name, bugs=bugs)
    return folder / "reference.h5", folder / "candidate.h5"


def recorded(path: Path, arrays: Arrays, mask=None) -> Path:
    """A dump of these taps, in order; `mask` [B, T] is that of the padding."""
    with DumpWriter(path) as writer:
        writer.describe(target={"kind": "py", "place": "m.py:f", "arguments": {}}, environment={}, config={})
        num_sentences, num_tokens = mask.shape if mask is not None else (1, TOKENS)
        writer.add_input(0, "input_ids", np.zeros((num_sentences, num_tokens), np.int64), "int64")
        if mask is not None:
            writer.add_input(0, "attention_mask", mask.astype(np.int64), "int64")
        for order, (name, values) in enumerate(arrays.items()):
            module, _, port = name.rpartition(":")
            kind = "attention" if "@attention" in module else "Part"
            writer.add(Tap(name, module, kind, 0, port, 0, order, values.shape, str(values.dtype)), values)
    return path


def both(tmp_path: Path, reference: Arrays, candidate: Arrays, mask=None) -> tuple[Path, Path]:
    return recorded(tmp_path / "r.h5", reference, mask), recorded(tmp_path / "c.h5", candidate, mask)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def images(figure) -> list[np.ndarray]:
    """Maps, without bars of colours; what is absent is -1."""
    return [np.ma.filled(image.get_array(), -1) for axes in figure.axes for image in axes.images]


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_layers_by_tokens_tells_where_each_begins(paths):
    with opened(*paths) as files:
        found = layers(files, 0, made.report(*paths))
    assert found.taps == ("model.layers.0.post_norm:out", "model.layers.1.post_norm:out")
    assert found.begins[0] == made.WINDOW
    for index, tap in enumerate(found.taps):
        r, c = (made.arrays(bugs=bugs)[tap][0].astype(float) for bugs in (False, True))
        assert found.errors[index] == pytest.approx(np.linalg.norm(c - r, axis=1) / np.linalg.norm(r, axis=1))
    figure = probe.plot.tokens(*paths, report=made.report(*paths))
    assert f"Errors begin in model.layers.0, from token {made.WINDOW} on" in words(figure)
    (cells,) = images(figure)
    assert cells == pytest.approx(np.maximum(found.errors, 1e-7))
    marks = next(one for one in figure.axes[0].lines if one.get_marker() == ">")
    assert marks.get_xdata()[0] == made.WINDOW
    assert marks.get_ydata()[0] == 0


def test_what_rounding_gathers_begins_nowhere(tmp_path):
    r = {f"layers.{layer}:out": floats(1, TOKENS, 8) for layer in range(3)}
    c = {name: values * np.float32(1 + 1e-6 * (layer + 1)) for layer, (name, values) in enumerate(r.items())}
    figure = probe.plot.tokens(*both(tmp_path, r, c))
    assert "No token's error stands out of rounding" in words(figure)


def test_padding_is_grey_and_begins_nothing(tmp_path):
    mask = np.ones((1, TOKENS))
    mask[:, 7:] = 0
    r = {f"layers.{layer}:out": floats(1, TOKENS, 8) for layer in range(2)}
    c = {name: values.copy() for name, values in r.items()}
    for values in c.values():
        values[:, 7:] = 99
    c["layers.1:out"][:, 3] += 1
    figure = probe.plot.tokens(*both(tmp_path, r, c, mask))
    (cells,) = images(figure)
    assert (cells[:, 7:] == -1).all()
    assert (cells[:, :7] > 0).all()
    assert "Errors begin in layers.1, from token 3 on" in words(figure)


def test_nan_on_one_side_alone_is_beyond_the_colours(tmp_path):
    r = {"layers.0:out": floats(1, TOKENS, 8), "layers.1:out": floats(1, TOKENS, 8)}
    c = {name: values.copy() for name, values in r.items()}
    c["layers.1:out"][0, 5, 0] = np.nan
    figure = probe.plot.tokens(*both(tmp_path, r, c))
    (cells,) = images(figure)
    assert np.argwhere(cells > 1).tolist() == [[1, 5]]
    assert "orange" in " ".join(words(figure))


def test_tokens_by_channels_is_the_error_of_each_cell(paths):
    figure = probe.plot.channels(*paths, OUT)
    r, c = (made.arrays(bugs=bugs)[OUT] for bugs in (False, True))
    (cells,) = images(figure)
    assert cells == pytest.approx(np.clip(difference_grid(r, c, 1, 2), 1e-7, 1))
    assert f"from token {made.WINDOW} on" in " ".join(words(figure))


def test_a_tap_with_heads_has_a_map_of_them_too(tmp_path):
    r = {"layers.0:out": floats(1, 4, TOKENS, 8), ":out": floats(1, TOKENS, 8)}
    c = {**r, "layers.0:out": r["layers.0:out"] + np.array([0, 0, 1, 0], np.float32)[:, None, None]}
    by_channel, by_head = images(probe.plot.channels(*both(tmp_path, r, c), "layers.0:out"))
    assert by_channel.shape == (TOKENS, 8)
    assert (by_head > 0.1).all(axis=0).tolist() == [False, False, True, False]


def test_a_large_map_loses_no_cell_that_stands_out(tmp_path):
    r = {"layers.0:out": np.ones((1, 600, 1200), np.float32), ":out": floats(1, 600, 8)}
    c = {**r, "layers.0:out": r["layers.0:out"].copy()}
    c["layers.0:out"][0, 543, 1101] = 1.5
    (cells,) = images(probe.plot.channels(*both(tmp_path, r, c, np.ones((1, 600))), "layers.0:out"))
    assert cells.shape == (480, 960)
    assert (cells > 0.1).sum() == 1


def test_each_side_s_elements_are_in_bars_and_their_difference_below(paths):
    figure = probe.plot.histogram(*paths, OUT)
    ours, theirs, difference = (
        patch.get_data() for axes in figure.axes for patch in axes.patches[:2] if hasattr(patch, "get_data")
    )
    r, c = (made.arrays(bugs=bugs)[OUT] for bugs in (False, True))
    assert ours.values.sum() == theirs.values.sum() == difference.values.sum() == r.size
    assert difference.edges[0] == pytest.approx((c - r).min())
    assert f"{int((r == c).sum()):,} the same on both sides" in " ".join(words(figure))


def test_elements_that_are_not_finite_are_counted(tmp_path):
    r = {"layers.0:out": floats(1, TOKENS, 8), ":out": floats(1, TOKENS, 8)}
    c = {**r, "layers.0:out": r["layers.0:out"].copy()}
    c["layers.0:out"][0, 0, :3] = np.nan, np.inf, -np.inf
    told = " ".join(words(probe.plot.histogram(*both(tmp_path, r, c), "layers.0:out")))
    assert "3 NaN or infinite ones" in told


def given_to_attention(**changed) -> Arrays:
    """Causal attention of two heads, as a fused kernel shows it."""
    known = {
        "query": floats(1, HEADS, TOKENS, 4),
        "key": floats(1, HEADS, TOKENS, 4),
        "scale": np.array(0.5),
        "mask": np.tri(TOKENS, dtype=bool)[None, None],
    }
    known |= changed
    taps = {f"layers.0.attn.@attention:in.{port}": values for port, values in known.items() if values is not None}
    return {
        "layers.0:in": floats(1, TOKENS, 8),
        **taps,
        "layers.0:out": floats(1, TOKENS, 8),
        ":out": floats(1, TOKENS, 8),
    }


def probabilities_of(taps: Arrays) -> np.ndarray:
    query, key, mask = (taps[f"layers.0.attn.@attention:in.{port}"] for port in ("query", "key", "mask"))
    return probabilities(np.where(mask, query.astype(float) @ np.swapaxes(key, -1, -2) * 0.5, -np.inf))


def test_masks_and_probabilities_of_a_fused_kernel_are_made_of_what_it_was_given(tmp_path):
    r = given_to_attention()
    wider = r["layers.0.attn.@attention:in.mask"].copy()
    wider[..., 3, 7] = True
    c = {**r, "layers.0.attn.@attention:in.mask": wider}
    figure = probe.plot.attention(*both(tmp_path, r, c), "layers.0.attn", 1)
    mask, other_mask, masks_apart, ours, theirs, apart = images(figure)
    assert (mask == np.tri(TOKENS)).all()
    assert np.argwhere(masks_apart).tolist() == [[3, 7]]
    assert masks_apart[3, 7] == 1
    assert (other_mask - mask).sum() == 1
    for shown, taps in ((ours, r), (theirs, c)):
        expected = probabilities_of(taps)[0, 1]
        assert shown[expected > 1e-4] == pytest.approx(expected[expected > 1e-4])
        assert (shown[expected == 0] < 1e-4).all()
    assert apart == pytest.approx(probabilities_of(c)[0, 1] - probabilities_of(r)[0, 1], abs=1e-7)
    assert "1 of 144 places differ" in words(figure)


def test_a_flag_for_causal_attention_is_a_mask_and_recorded_probabilities_are_taken(tmp_path):
    r = given_to_attention()
    r["layers.0.attn.@attention:out.probabilities"] = probabilities_of(r).astype(np.float32)
    c = {name: values for name, values in r.items() if not name.endswith(("in.mask", "out.probabilities"))}
    c["layers.0.attn.@attention:in.is_causal"] = np.array(True)
    figure = probe.plot.attention(*both(tmp_path, r, c), "layers.0.attn.@attention")
    mask, other_mask, _, _, _, apart = images(figure)
    assert (mask == other_mask).all()
    assert apart == pytest.approx(np.zeros((TOKENS, TOKENS)), abs=1e-6)
    assert "probabilities of the candidate: made of" in " ".join(words(figure))


@pytest.mark.parametrize("num_sentences", [1, 2])
@pytest.mark.parametrize("is_swapped", [False, True])
def test_heads_that_a_model_groups_by_their_key_are_the_other_side_s_heads(tmp_path, num_sentences, is_swapped):
    shape = (num_sentences, 4, TOKENS, 6)
    flat = given_to_attention(query=floats(*shape), key=floats(num_sentences, 2, TOKENS, 6))
    grouped, prefix = dict(flat), "layers.0.attn.@attention:in"
    grouped[f"{prefix}.query"] = flat[f"{prefix}.query"].reshape(num_sentences, 2, 2, TOKENS, 6)
    if num_sentences == 1:  # and without an axis of sentences: its heads are none
        grouped |= {name: grouped[name][0] for name in (f"{prefix}.query", f"{prefix}.key")}
    sides = (grouped, flat) if is_swapped else (flat, grouped)
    files = both(tmp_path, *sides, np.ones((num_sentences, TOKENS)))
    for head in range(4):
        figure = probe.plot.attention(*files, "layers.0.attn", head)
        assert images(figure)[-1] == pytest.approx(np.zeros((TOKENS, TOKENS)), abs=1e-7)
        query, key = flat[f"{prefix}.query"][0, head], flat[f"{prefix}.key"][0, head // 2]
        expected = probabilities(np.where(np.tri(TOKENS), query.astype(float) @ key.T * 0.5, -np.inf))
        assert images(figure)[3][expected > 1e-4] == pytest.approx(expected[expected > 1e-4])


def test_a_query_of_a_decoded_token_sees_no_key_that_came_after_it(tmp_path):
    ids = references.prompts(num_sentences=1, num_tokens=6)
    files = []
    for kernel, sizes in (("sdpa", [1] * 6), ("eager", [6])):
        model = references.reference("llama", attention=kernel)
        files.append(record_steps(model, tmp_path / f"{kernel}.h5", ids, sizes))
    figure = probe.plot.attention(*files, "model.layers.1.self_attn", 3)
    mask, other_mask, _, _, _, apart = images(figure)
    assert (mask == np.tri(6)).all()
    assert (mask == other_mask).all()
    assert apart == pytest.approx(np.zeros((6, 6)), abs=1e-5)


def test_what_no_side_shows_is_not_known_and_never_invented(paths):
    figure = probe.plot.attention(*paths, made.ATTENTION)
    assert words(figure).count("not known") == 3
    assert len(images(figure)) == 3


@pytest.mark.parametrize(
    ("module", "head", "error"),
    [("layers.0", 0, "no attention was recorded of 'layers.0'"), ("layers.0.attn", 2, "there is no head 2")],
)
def test_attention_that_is_not_there_is_an_error_that_names_what_is(tmp_path, module, head, error):
    files = both(tmp_path, given_to_attention(), given_to_attention())
    with pytest.raises(ProbeError, match=error) as refused:
        probe.plot.attention(*files, module, head)
    assert refused.value.hint in ("name a module that computes it: layers.0.attn", "heads are 0 to 1")


def test_the_ten_likeliest_words_of_both_stand_side_by_side(tmp_path):
    logits = np.zeros((1, TOKENS, 50), np.float32)
    logits[0, -1, 20:30] = np.arange(10, 0, -1)
    other = logits.copy()
    other[0, -1, 7] = 11
    r = {"layers.0:out": floats(1, TOKENS, 8), ":out.logits": logits}
    figure = probe.plot.logits(*both(tmp_path, r, {**r, ":out.logits": other}))
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [f"id {word}" for word in range(20, 30)]
    assert [label.get_text() for label in right.get_yticklabels()][:2] == ["id 7", "id 20"]
    ours, theirs = (one.get_xdata() for one in right.lines)
    assert ours[:2].tolist() == [0, 10]
    assert theirs[:2].tolist() == [11, 10]
    told = words(figure)
    assert f"After token {TOKENS - 1} the reference puts id 20 first, the candidate id 7" in told
    assert f"{probabilities(other[0, -1].astype(float))[7]:.1%}" in told
    with pytest.raises(ProbeError, match="no token 12"):
        probe.plot.logits(tmp_path / "r.h5", tmp_path / "c.h5", TOKENS)


def test_the_last_token_is_no_padding_and_nan_is_no_word(tmp_path):
    mask = np.ones((1, TOKENS))
    mask[:, 5:] = 0
    logits = floats(1, TOKENS, 20)
    other = logits.copy()
    other[0, 4] = np.nan
    r = {"layers.0:out": floats(1, TOKENS, 8), ":out.logits": logits}
    told = words(probe.plot.logits(*both(tmp_path, r, {**r, ":out.logits": other}, mask)))
    first = int(logits[0, 4].argmax())
    assert f"After token 4 the reference puts id {first} first, the candidate nothing" in told
    assert "20 logits of both sides are NaN or infinite" in " ".join(told)


def test_a_model_that_returns_no_logits_has_no_such_picture(paths, tmp_path):
    r = {"layers.0:out": floats(1, TOKENS, 8), ":out": floats(1, TOKENS, 8)}
    with pytest.raises(ProbeError, match=r"':out' \[1, 12, 8\] is no logits"):
        probe.plot.logits(*both(tmp_path, r, r))


def test_a_tap_that_one_side_alone_has_is_an_error_that_says_what_to_do(tmp_path):
    r = {"layers.0:out": floats(1, TOKENS, 8), "layers.0.extra:out": floats(1, 3), ":out": floats(1, TOKENS, 8)}
    c = {name: values for name, values in r.items() if "extra" not in name}
    files = both(tmp_path, r, c)
    for draw in (probe.plot.channels, probe.plot.histogram):
        with pytest.raises(ProbeError, match="has no counterpart") as refused:
            draw(*files, "layers.0.extra:out")
        assert "mapping table" in refused.value.hint


def test_no_word_lies_on_another_or_on_a_map_however_many_tokens_there_are(tmp_path):
    num_tokens = 1200
    r = {f"layers.{layer}:out": floats(1, num_tokens, 8) for layer in range(12)}
    c = {name: values.copy() for name, values in r.items()}
    for layer in range(12):
        c[f"layers.{layer}:out"][:, 1100 + layer :] += 1
    files = both(tmp_path, r, c, np.ones((1, num_tokens)))
    for figure in (probe.plot.tokens(*files), probe.plot.channels(*files, "layers.3:out")):
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
        boxes = {text: text.get_window_extent(renderer).shrunk(0.9, 0.8) for text in texts}
        (label,) = (text for text in texts if "rounding" in text.get_text() and "\n" not in text.get_text())
        maps = [axes.bbox for axes in figure.axes if axes.images]
        others = [box for text, box in boxes.items() if text is not label] + maps
        assert not any(boxes[label].overlaps(box) for box in others)
        assert figure.bbox.containsx(boxes[label].x1)


def test_a_gradient_is_said_to_be_one_and_not_to_be_without_counterpart(tmp_path):
    torch.manual_seed(0)
    model, paths = torch.nn.Sequential(torch.nn.Linear(4, 4)), (tmp_path / "r.h5", tmp_path / "c.h5")
    for path in paths:
        with probe.record(model, path, gradients=True):
            model(torch.ones(2, 4)).sum().backward()
    for draw in (probe.plot.channels, probe.plot.histogram):
        with pytest.raises(ProbeError, match="is a gradient") as refused:
            draw(*paths, "0:grad.out")
        assert "--kind depth" in refused.value.hint


def test_open_dumps_are_taken_too_and_stay_open(paths):
    with probe.open(paths[0]) as reference, probe.open(paths[1]) as candidate:
        probe.plot.histogram(reference, candidate, OUT)
        assert reference[OUT].shape == candidate[OUT].shape


def test_no_tap_s_name_is_read_as_mathematics_or_breaks_a_picture(tmp_path):
    r = {name: floats(1, TOKENS, 8) for name in hostile.NAMES}
    files = both(tmp_path, r, {name: values + np.float32(1) for name, values in r.items()})
    figures = [probe.plot.tokens(*files)]
    for name in hostile.NAMES:
        figures += [probe.plot.channels(*files, name), probe.plot.histogram(*files, name)]
    for figure in figures:
        assert not any(text.get_parse_math() for text in figure.findobj(Text))
        assert all(text.isprintable() and text.isascii() for word in words(figure) for text in word.split("\n"))
    for ending in ("png", "svg", "pdf"):
        probe.plot.save(figures[0], io.BytesIO(), ending)


ODD = {
    "complex": floats(1, TOKENS, 4) * np.complex64(1 + 1j),
    "whole": np.arange(4 * TOKENS).reshape(1, TOKENS, 4),
    "boolean": np.eye(TOKENS, dtype=bool)[None],
    "half": floats(1, TOKENS, 4).astype(np.float16),
    "nan everywhere": np.full((1, TOKENS, 4), np.nan, np.float32),
    "zero everywhere": np.zeros((1, TOKENS, 4), np.float32),
    "nearly infinite": np.full((1, TOKENS, 4), 3e38, np.float32),
    "five axes": floats(2, 1, 3, TOKENS, 4),
    "one number": np.array(2.5, np.float32),
    "a row": floats(7),
}


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_numbers_of_any_kind_and_shape_are_drawn_where_they_have_the_axes(tmp_path, values):
    r = {"layers.0:out": values, ":out": floats(1, TOKENS, 8)}
    c = {**r, "layers.0:out": values[..., ::-1] if values.ndim else values + np.float32(1)}
    files = both(tmp_path, r, c)
    bars = probe.plot.histogram(*files, "layers.0:out").axes[1].patches[0].get_data()
    assert bars.values.sum() == values.size
    if values.ndim >= 2:
        assert images(probe.plot.channels(*files, "layers.0:out"))[0].shape == values.shape[-2:]
    else:
        with pytest.raises(ProbeError, match="a map has two axes"):
            probe.plot.channels(*files, "layers.0:out")
