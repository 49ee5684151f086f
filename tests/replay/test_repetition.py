"""What a run's own repetition shows is no bug, at the tap where it shows and downstream; ten times as much is one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import probe
from probe.dump import Dump
from probe.report import Report, Verdict
from probe.targets.afterwards import run_again
from probe.targets.calls import Calls
from tests.zoo.architectures import Size, build, inputs

SIZE = Size(hidden=64, layers=3, heads=4, tokens=19)
NOISE = 1e-4
BUG = 10 * NOISE
LAYERS = {"llama": "model.layers.{}.mlp.down_proj", "gpt2": "transformer.h.{}.mlp.c_proj"}
"""In each layer a module for noise or a bug to be planted in."""


def plant(model: nn.Module, name: str, size: float, seed: int | None = None) -> None:
    """Add numbers of relative `size` to what a module returns: other ones in each call, or with a seed always those."""
    generator = torch.Generator().manual_seed(seed or 0)

    def add(module: nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
        if seed is not None:
            generator.manual_seed(seed)
        numbers = torch.randn(output.shape, generator=generator)
        return output + (size * output.norm() / numbers.norm()) * numbers

    model.get_submodule(name).register_forward_hook(add)


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., Report]:
    """`compared("llama", candidate=plan)`: record both, each run again as `--repeat` does it, and diff them."""

    def run(architecture: str, repeat: int = 2, replay: bool = True, seed: int = 0, exclude=(), **plans) -> Report:
        fed, models = inputs(architecture, SIZE, seed), {}
        for side in ("reference", "candidate"):
            model = models[side] = build(architecture, SIZE, seed)
            plans.get(side, lambda model: None)(model)
            path = tmp_path / f"{side}.h5"
            with torch.no_grad(), probe.record(model, path, force=True, exclude=exclude if side == "reference" else ()):
                model(**fed)
            if repeat > 1:
                run_again(model, Calls(fed), path, repeat)
        paths = tmp_path / "reference.h5", tmp_path / "candidate.h5"
        return probe.diff(*paths, reference=models["reference"], replay=replay)

    return run


def noisy(architecture: str, *layers: int) -> Callable[[nn.Module], None]:
    def plan(model: nn.Module) -> None:
        for layer in layers:
            plant(model, LAYERS[architecture].format(layer), NOISE)

    return plan


@pytest.mark.parametrize("architecture", LAYERS)
@pytest.mark.parametrize("layers", [(0,), (1,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_noise_that_the_repetition_shows_is_not_blamed(architecture: str, layers, side: str, compared):
    report = compared(architecture, **{side: noisy(architecture, *layers)})
    assert report.verdict is Verdict.NOISE, report.first
    [warned] = [check for check in report.trust if check.check == "repetition"]
    assert f"the {side} does not repeat itself" in warned.message


@pytest.mark.parametrize("architecture", LAYERS)
def test_without_a_repetition_the_same_noise_is_blamed(architecture: str, compared):
    report = compared(architecture, repeat=1, candidate=noisy(architecture, 1))
    assert report.first
    assert report.first.module == LAYERS[architecture].format(1)


@pytest.mark.parametrize("architecture", LAYERS)
@pytest.mark.parametrize("layers", [(0,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("bug", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_bug_ten_times_above_the_noise_is_found_at_its_place(
    architecture: str, layers, bug: int, seed: int, compared
):
    place = LAYERS[architecture].format(bug)

    def plan(model: nn.Module) -> None:
        noisy(architecture, *layers)(model)
        plant(model, place, BUG, seed=7)

    report = compared(architecture, seed=seed, candidate=plan)
    assert [module for finding in report.findings for module in finding.modules] == [place]


def test_a_bug_far_below_the_noise_of_another_layer_is_found(compared):
    """Noise that came in is no reason to overlook what arises: each tap has the noise that arises there."""
    place = LAYERS["llama"].format(2)

    def plan(model: nn.Module) -> None:
        noisy("llama", 0)(model)
        plant(model, place, NOISE / 10, seed=7)

    report = compared("llama", candidate=plan)
    assert report.first
    assert report.first.module == place
    assert "times what rounding causes" in report.findings[0].message


@pytest.mark.parametrize("exclude", ["*.mlp.*", "*.mlp*"])
def test_noise_of_a_tap_that_has_no_counterpart_is_not_blamed(exclude: str, compared):
    report = compared("llama", exclude=[exclude], candidate=noisy("llama", 0, 1))
    assert report.verdict is Verdict.NOISE, report.first
    assert any(".mlp.down_proj:out" in name for name in report.candidate_only)


def test_a_finding_above_noise_says_what_it_is_held_against(compared):
    place = LAYERS["llama"].format(1)

    def plan(model: nn.Module) -> None:
        noisy("llama", 1)(model)
        plant(model, place, 30 * NOISE, seed=7)

    report = compared("llama", candidate=plan)
    assert "times what its own repetition shows" in report.findings[0].message
    [row] = [row for row in report.taps if row.reference == f"{place}:out"]
    assert row.floor == pytest.approx(NOISE * 2**0.5, rel=0.2)


def test_the_dump_keeps_what_arises_at_each_tap(compared, tmp_path: Path):
    compared("llama", candidate=noisy("llama", 0, 2))
    with Dump(tmp_path / "candidate.h5") as dump:
        own = {name: size for (_, name), (_, size) in dump.repetition.items() if size}
        far = [size for size, _ in dump.repetition.values()]
        assert len(dump.repetition) == len(dump.taps)
    assert list(own) == [LAYERS["llama"].format(layer) + ":out" for layer in (0, 2)]
    assert list(own.values()) == pytest.approx([NOISE * 2**0.5] * 2, rel=0.2)
    assert sum(size > 0 for size in far) > 2 * len(own)
    with Dump(tmp_path / "reference.h5") as dump:
        assert dump.repetition == {}


@pytest.mark.parametrize("repeat", [1, 2])
def test_where_nothing_is_replayed_noise_end_to_end_counts(repeat: int, compared):
    def plan(model: nn.Module) -> None:
        plant(model, LAYERS["llama"].format(0), 20 * NOISE)

    report = compared("llama", repeat, replay=False, candidate=plan)
    assert (report.verdict is Verdict.NOISE) == (repeat > 1)
