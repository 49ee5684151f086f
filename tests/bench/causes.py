"""What naming causes costs: a whole diff in runs of the model, in seconds where it is small, and per layer."""

import copy
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import probe
from tests.bench.llama import forward, llama, tokens
from tests.bench.measurement import Line, in_turn, milliseconds
from tests.bench.recording import record

FORWARDS_ALLOWED = 60
SECONDS_ALLOWED = 2.0
PER_LAYER_ALLOWED = 1.3
"""Times what a layer of a quarter as many costs: with the square of the layers it would be 4."""
FEW, MANY = 8, 32
"""Layers."""


def unexplained(model: nn.Module) -> None:
    """Every hypothesis is tried, and none is true."""
    with torch.no_grad():
        model.get_parameter("model.layers.5.mlp.up_proj.weight")[::2].mul_(1.01)


def other_eps(model: nn.Module) -> None:
    for module in model.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon = 1e-5


def four(model: nn.Module) -> None:
    """In all layers, in one, between two, and beside each other."""
    other_eps(model)
    model.model.rotary_emb.inv_freq = model.model.rotary_emb.inv_freq**1.1
    model.model.layers[3].mlp.act_fn = nn.GELU()
    with torch.no_grad():
        model.get_parameter("model.layers.7.self_attn.o_proj.weight").zero_()


def causes(model: nn.Module, ids: torch.Tensor, reference: Path, folder: Path) -> list[Line]:
    """Whole diffs of the model that everything is measured on, and of small ones."""
    plants: dict[str, tuple[Callable[[nn.Module], None], torch.dtype]] = {
        "nothing explains the bug": (unexplained, torch.float32),
        "four bugs": (four, torch.float32),
        "bf16, eps of all norms": (other_eps, torch.bfloat16),
    }
    lines = []
    for what, (plant, dtype) in plants.items():
        candidate = folder / "candidate-with-bugs.h5"
        with_bugs = copy.deepcopy(model)
        plant(with_bugs)
        candidate.unlink(missing_ok=True)
        record(with_bugs.to(dtype), ids, candidate)
        lines.append(_in_forwards(what, model, ids, reference, candidate))
    return [*lines, *_small(folder)]


def _in_forwards(what: str, model: nn.Module, ids: torch.Tensor, reference: Path, candidate: Path) -> Line:
    actions = {
        "forward": forward(model, ids),
        "diff": lambda: probe.diff(reference, candidate, reference=model),
    }
    seconds = {name: statistics.median(taken) for name, taken in in_turn(3, actions).items()}
    num_forwards = seconds["diff"] / seconds["forward"]
    return Line(
        f"whole diff with causes ({what}) / forward",
        milliseconds(seconds["diff"]),
        milliseconds(seconds["forward"]),
        f"{num_forwards:.1f} forwards",
        str(FORWARDS_ALLOWED),
        num_forwards <= FORWARDS_ALLOWED,
    )


def _small(folder: Path) -> list[Line]:
    """Four bugs in models of 64 channels."""
    ids = tokens(64)
    seconds = {}
    for num_layers in (FEW, MANY):
        model = llama(num_layers=num_layers, num_channels=64)
        with_bugs = copy.deepcopy(model)
        four(with_bugs)
        paths = folder / f"{num_layers}-reference.h5", folder / f"{num_layers}-candidate.h5"
        for one, path in zip((model, with_bugs), paths, strict=True):
            record(one, ids, path)
        taken = in_turn(3, {"diff": lambda p=paths, m=model: probe.diff(*p, reference=m)})  # type: ignore[misc]
        seconds[num_layers] = statistics.median(taken["diff"])
    growth = seconds[MANY] / seconds[FEW] * FEW / MANY
    return [
        Line(
            f"whole diff with causes (four bugs), {FEW} layers of 64 channels",
            milliseconds(seconds[FEW]),
            "",
            f"{seconds[FEW]:.2f} s",
            f"{SECONDS_ALLOWED:g} s",
            seconds[FEW] <= SECONDS_ALLOWED,
        ),
        Line(
            f"  a layer of {MANY} / a layer of {FEW}",
            milliseconds(seconds[MANY] / MANY),
            milliseconds(seconds[FEW] / FEW),
            f"{growth:.2f}",
            f"{PER_LAYER_ALLOWED}",
            growth <= PER_LAYER_ALLOWED,
        ),
    ]
