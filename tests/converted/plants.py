"""Bugs of conversion, as changes of a GGUF file's contents; each with where it lies and what it is to be called."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.converted.convert import Contents, half_split
from tests.converted.models import WINDOW

LAYER = 1
"""Where a bug of one layer is planted: neither the first nor the last."""


def rows_not_permuted(file: Contents) -> None:
    for name, rows in file.tensors.items():
        for place, heads in (("attn_q.weight", "head_count"), ("attn_k.weight", "head_count_kv")):
            if name.endswith(place):
                file.tensors[name] = half_split(rows, file.keys[f"attention.{heads}"])


def norms_without_one(file: Contents) -> None:
    for name in file.tensors:
        if name.endswith("norm.weight"):
            file.tensors[name] = file.tensors[name] - np.float32(1)


def another_theta(file: Contents) -> None:
    file.keys["rope.freq_base"] *= 0.5


def another_eps(file: Contents) -> None:
    file.keys["attention.layer_norm_rms_epsilon"] *= 10


def norms_exchanged(file: Contents) -> None:
    _exchange(file, f"blk.{LAYER}.attn_norm.weight", f"blk.{LAYER}.ffn_norm.weight")


def no_window(file: Contents) -> None:
    file.keys["attention.sliding_window"] = file.keys["context_length"]


def window_off_by_one(file: Contents) -> None:
    file.keys["attention.sliding_window"] = WINDOW + 1


def gate_and_up_exchanged(file: Contents) -> None:
    for layer in range(file.keys["block_count"]):
        up = f"blk.{layer}.ffn_up.weight"
        if f"blk.{layer}.ffn_gate.weight" in file.tensors:
            _exchange(file, f"blk.{layer}.ffn_gate.weight", up)
        else:
            file.tensors[up] = np.concatenate(np.split(file.tensors[up], 2)[::-1])


def tensor_of_another_layer(file: Contents) -> None:
    file.tensors[f"blk.{LAYER}.ffn_down.weight"] = file.tensors[f"blk.{LAYER - 1}.ffn_down.weight"]


def no_scaling_factors(file: Contents) -> None:
    del file.tensors["rope_freqs.weight"]


def _exchange(file: Contents, one: str, other: str) -> None:
    file.tensors[one], file.tensors[other] = file.tensors[other], file.tensors[one]


@dataclass(frozen=True)
class Plant:
    """A bug."""

    change: Callable[[Contents], None]
    causes: frozenset[str]
    """Any of these is its name."""
    module: str
    """The reference's module that is first at fault begins with this."""
    models: tuple[str, ...]
    """Where it can be planted."""

    @property
    def name(self) -> str:
        return self.change.__name__


EVERY = ("llama", "llama3", "qwen3", "gemma", "gemma2", "gemma3", "phi3")
GEMMAS = ("gemma", "gemma2", "gemma3")
FIRST, MIDDLE = "model.layers.0", f"model.layers.{LAYER}"


def _plant(change, causes, module, models=EVERY):
    return Plant(change, frozenset(causes.split()), module, models)


PLANTS = [
    _plant(rows_not_permuted, "rope.layout linear.row_order", f"{FIRST}.self_attn", ("llama", "llama3")),
    _plant(norms_without_one, "norm.weight_offset", f"{FIRST}.input_layernorm", GEMMAS),
    _plant(another_theta, "rope.theta", "model.layers"),
    _plant(another_eps, "norm.eps", f"{FIRST}.input_layernorm"),
    _plant(norms_exchanged, "norm.weight_swapped", f"{MIDDLE}.input_layernorm"),
    _plant(no_window, "attn.window", f"{FIRST}.self_attn", ("gemma2", "gemma3")),
    _plant(window_off_by_one, "attn.window", f"{FIRST}.self_attn", ("gemma2", "gemma3")),
    _plant(gate_and_up_exchanged, "mlp.gate_up_swapped", f"{FIRST}.mlp"),
    _plant(tensor_of_another_layer, "linear.weight_swapped", f"{MIDDLE}.mlp.down_proj"),
    _plant(no_scaling_factors, "rope.scaling", f"{FIRST}.self_attn", ("llama3",)),
]
