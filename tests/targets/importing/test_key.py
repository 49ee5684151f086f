"""A key says of which step, at which place and of which tap an array is; what it does not say is not guessed."""

import pytest

from probe.errors import ProbeError
from probe.targets.importing.key import Role, parsed


@pytest.mark.parametrize(
    ("text", "step", "order", "tap"),
    [
        ("model.layers.0.mlp", 0, None, "model.layers.0.mlp:out"),
        ("model.layers.0.mlp:in.1", 0, None, "model.layers.0.mlp:in.1"),
        ("model.norm@1:out", 0, None, "model.norm@1:out"),
        (":out.logits", 0, None, ":out.logits"),
        ("0003_model.norm", 0, 3, "model.norm:out"),
        ("0003-model.norm:in", 0, 3, "model.norm:in"),
        ("step0/003_model.norm", 0, 3, "model.norm:out"),
        ("step_12/model.norm", 12, None, "model.norm:out"),
        ("iteration_2/transformer.layers.6.mlp_output", 2, None, "transformer.layers.6.mlp_output:out"),
        ("transformer.layers.6.mlp_output-step3", 3, None, "transformer.layers.6.mlp_output:out"),
        ("model/layers/0/mlp", 0, None, "model.layers.0.mlp:out"),
        ("model.layers.0.self_attn.@softmax.1:out", 0, None, "model.layers.0.self_attn.@softmax.1:out"),
        ("0.weight_norm", 0, None, "0.weight_norm:out"),  # a module of that number
        ("time_step_1", 0, None, "time_step_1:out"),  # a module of that name
        ("step1", 0, None, "step1:out"),  # nothing comes behind it
    ],
)
def test_a_key_is_read(text, step, order, tap):
    key = parsed(text)
    assert (key.role, key.step, key.order, key.tap) == (Role.TAP, step, order, tap)


@pytest.mark.parametrize(
    ("text", "role", "step", "name"),
    [
        ("inputs/input_ids", Role.INPUT, 0, "input_ids"),
        ("step2/inputs/input_ids", Role.INPUT, 2, "input_ids"),
        ("inputs/step2/input_ids", Role.INPUT, 2, "input_ids"),
        ("weights/model.layers.0.mlp.weight", Role.WEIGHT, 0, "model.layers.0.mlp.weight"),
        ("weights/model/norm/weight", Role.WEIGHT, 0, "model.norm.weight"),
        ("weights/0_weight", Role.WEIGHT, 0, "0_weight"),
    ],
)
def test_inputs_and_weights_lie_in_folders_of_their_own(text, role, step, name):
    key = parsed(text)
    assert (key.role, key.step, key.name) == (role, step, name)


@pytest.mark.parametrize("text", ["", "/", "../../etc/passwd", "a\x1b[31m", "a\0b", "x" * 600, "dense/BiasAdd:0", "a:"])
def test_what_names_nothing_is_refused(text):
    with pytest.raises(ProbeError):
        parsed(text)
