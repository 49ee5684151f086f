"""Each port gives its reference's logits, and holds the reference's numbers where it says."""

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.dump import Dump
from probe.tap import Tap
from tests.ports.styles import STYLES, Style
from tests.ports.truth import counterpart, kept_tokens, relative, true_values
from tests.zoo.architectures import Size

SIZES = [(Size(layers=2), 0), (Size(hidden=96, layers=3, heads=8), 5)]


def logits(model: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        output = model(**inputs)
    output = getattr(output, "logits", getattr(output, "last_hidden_state", output))
    output = output[0] if isinstance(output, tuple) else output
    mask = inputs.get("attention_mask")
    return output if mask is None or output.dim() == 2 else output[mask.bool()]


@pytest.fixture(scope="module", params=STYLES, ids=lambda style: style.name)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Style, Dump, Dump]:
    """A style, its reference's run and its port's."""
    style, folder = request.param, tmp_path_factory.mktemp("style")
    reference = style.reference(Size(layers=2))
    models = reference, style.candidate(reference)
    for model, inputs, name in zip(models, style.fed(), ("r", "c"), strict=True):
        with torch.no_grad(), probe.record(model, folder / f"{name}.h5", functional="none"):
            model(**inputs)
    return style, probe.open(folder / "r.h5"), probe.open(folder / "c.h5")


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize(("size", "seed"), SIZES)
def test_a_port_gives_the_reference_s_logits(style: Style, size, seed):
    reference = style.reference(size, seed)
    inputs, port_inputs = style.fed(seed)
    expected, found = logits(reference, inputs), logits(style.candidate(reference), port_inputs)
    assert relative(expected.numpy(), found.reshape(expected.shape).numpy()) < 1e-5


def test_a_port_s_truth_is_true(recorded):
    style, reference, candidate = recorded
    wrong = {}
    for tap in reference.taps:
        said = counterpart(style.truth, tap)
        if said is None:
            continue
        values = true_values(said, candidate, tap.shape, kept_tokens(reference))
        error = relative(of_tokens(said, reference.read(tap), kept_tokens(reference)), values)
        if not error < 1e-4:
            wrong[tap.name] = (said, error)
    assert not wrong


def test_a_port_s_truth_forgets_no_point(recorded):
    """What the truth says to be nowhere in the port is in none of its taps, in whatever order of axes."""
    style, reference, candidate = recorded
    theirs = [(tap.name, np.sort(candidate.read(tap), axis=None)) for tap in candidate.taps if tap.num_elements]
    forgotten = {}
    for tap in reference.taps:
        if counterpart(style.truth, tap) is not None or says_nothing(reference, tap):
            continue
        ours = np.sort(reference.read(tap), axis=None)
        same = [name for name, values in theirs if len(values) == len(ours) and relative(ours, values) < 1e-4]
        if same:
            forgotten[tap.name] = same
    assert not forgotten


def of_tokens(said: str, values: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Zeros where a token is padding, as in what an unpadded port has of it."""
    return values * kept.reshape(*kept.shape, *[1] * (values.ndim - 2)) if "unpadded" in said else values


def says_nothing(dump: Dump, tap: Tap) -> bool:
    """Integers, and values of a mask or an angle, are equal by chance, or to many; a rotary embedding reads no more
    than the dtype of what it is given; and an expert's tokens come in an order of each side's own."""
    if not tap.dtype.startswith("float") or "rotary_emb" in tap.module or tap.module.endswith("experts.act_fn"):
        return True
    return len(np.unique(dump.read(tap))) < tap.num_elements / 4
