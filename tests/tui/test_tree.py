"""The tree of modules as data: built from taps, folded, filtered, sorted."""

import math

from tui.entries import module_of
from tui.figures import ERROR, RATIO
from tui.tree import Entry, Mark, View, build, parts, visible


def entry(tap, ratio=None, error=0.0, mark=Mark.NEAR):
    return Entry(tap, module_of(tap), 0, tap, (2, 3), "float32", {"ratio": ratio, "rel_l2": error}, mark)


def tree(*entries):
    return build(entries, "the model itself")


TREE = tree(
    entry(":in", error=0.0, mark=Mark.EQUAL),
    entry("model.layers.0.mlp:in", 0.5, 1e-7),
    entry("model.layers.0.mlp.@silu:out", 1.0, 1e-7),
    entry("model.layers.0.mlp:out", 7.0, 1e-2, Mark.OWN),
    entry("model.layers.1.mlp:out", 1.0, 2e-2),
    entry(":out", 0.0, math.nan, Mark.NONFINITE),
)


def names(nodes):
    return [node.module for node in nodes]


def test_a_function_is_one_child_whatever_its_number():
    assert parts("a.b.@softmax.1") == ["a", "b", "@softmax.1"]
    assert parts("@attention") == ["@attention"]
    assert parts("") == []


def test_calls_and_ports_are_of_the_tap():
    assert module_of("a.b@1:out.2") == "a.b"
    assert module_of("a.@softmax.1@2:in") == "a.@softmax.1"
    assert module_of(":out.logits") == ""


def test_all_modules_are_shown_in_the_order_of_execution_with_those_that_hold_them():
    assert names(visible(TREE, View())) == [
        "",
        "model",
        "model.layers",
        "model.layers.0",
        "model.layers.0.mlp",
        "model.layers.0.mlp.@silu",
        "model.layers.1",
        "model.layers.1.mlp",
    ]


def test_a_module_shows_its_gravest_tap_and_says_what_lies_beneath():
    mlp = next(node for node in TREE.walk() if node.module == "model.layers.0.mlp")
    assert (mlp.mark, mlp.shown.tap, mlp.value(RATIO)) == (Mark.OWN, "model.layers.0.mlp:out", 7.0)
    model = next(node for node in TREE.walk() if node.module == "model")
    assert (model.mark, model.beneath, model.value(RATIO)) == (None, Mark.OWN, None)
    assert (TREE.mark, TREE.beneath) == (Mark.NONFINITE, Mark.NONFINITE)
    assert math.isnan(TREE.value(ERROR))


def test_a_module_with_a_finding_is_marked_though_its_own_taps_agree():
    found = build([entry("a:out", 1.0), entry("a.b:in", 9e3)], "", guilty=["a"])
    assert next(node.mark for node in found.walk() if node.module == "a") is Mark.OWN
    assert next(node.value(RATIO) for node in found.walk() if node.module == "a") == 9e3


def test_what_is_folded_hides_what_is_inside():
    assert names(visible(TREE, View(folded=frozenset({"model.layers.0"}))))[3:5] == ["model.layers.0", "model.layers.1"]


def test_the_model_itself_cannot_be_folded_away():
    assert len(visible(TREE, View(folded=frozenset({""})))) > 1


def test_a_filter_keeps_what_fits_and_what_holds_it():
    assert names(visible(TREE, View(filter="1.MLP"))) == [
        "",
        "model",
        "model.layers",
        "model.layers.1",
        "model.layers.1.mlp",
    ]
    assert names(visible(TREE, View(filter="nothing"))) == []


def test_hiding_what_agrees_leaves_what_does_something_of_its_own():
    shown = names(visible(TREE, View(hides_agreeing=True)))
    assert shown == ["", "model", "model.layers", "model.layers.0", "model.layers.0.mlp"]


def test_sorted_rows_are_a_list_with_the_largest_first_and_nan_before_all():
    assert names(visible(TREE, View(sort=ERROR)))[:3] == ["", "model.layers.1.mlp", "model.layers.0.mlp"]
    assert names(visible(TREE, View(sort=RATIO)))[0] == "model.layers.0.mlp"
