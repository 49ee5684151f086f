"""Models and inputs drawn from a seed: what the parts "seen" and "aside" have in common is the architectures alone.

Thresholds are chosen on "seen"; "aside" has other widths, depths, lengths, seeds and magnitudes, and is looked at when
all is done.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import torch
import transformers as T
from torch import Tensor, nn

from tests.zoo.architectures import VOCABULARY, Size, build

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Part:
    """What a part of the zoo draws from."""

    shapes: tuple[tuple[int, int], ...]
    """Hidden size and number of heads."""
    layers: tuple[int, ...]
    tokens: tuple[int, ...]
    first_seed: int


PARTS = {
    "seen": Part(((64, 4), (96, 4), (96, 6)), (2, 3), (24, 40, 64), 0),
    "aside": Part(((48, 4), (80, 4), (128, 8)), (3, 4), (29, 47, 72), 1_000_000),
}


@dataclass(frozen=True)
class Drawn:
    """A reference, and what it is fed."""

    reference: nn.Module
    inputs: Inputs
    generator: torch.Generator
    """Where further draws come from."""


def choose(generator: torch.Generator, choices: Any) -> Any:
    return choices[int(torch.randint(len(choices), (1,), generator=generator))]


def draws(what: str, part: str, shift: int) -> tuple[int, torch.Generator]:
    """The seed of what is drawn for something of this name, and its generator; `shift` draws other ones."""
    seed = zlib.crc32(f"{what} {part}".encode()) % 100_000 + shift
    return seed, torch.Generator().manual_seed(seed)


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Between the two, by ratio."""
    return low * (high / low) ** float(torch.rand(1, generator=generator))


def draw(architecture: str, part: str, seed: int, **changed: Any) -> Drawn:
    """`changed` is of the architecture's configuration."""
    drawn_from = PARTS[part]
    generator = torch.Generator().manual_seed(drawn_from.first_seed + seed)
    hidden, heads = choose(generator, drawn_from.shapes)
    size = Size(hidden, choose(generator, drawn_from.layers), heads, choose(generator, drawn_from.tokens))
    model = build(architecture, size, seed, **{**_eps(architecture, generator), **changed})
    look_trained(model, generator)
    return Drawn(model, _inputs(architecture, size, generator), generator)


def _eps(architecture: str, generator: torch.Generator) -> dict[str, Any]:
    """RMS norms have 1e-6 or 1e-5; the others what their architecture has."""
    layer_norms = ("gpt2", "gpt-neox", "gpt-bigcode", "bert", "vit", "whisper")
    return {} if architecture in layer_norms else {"rms_norm_eps": choose(generator, (1e-6, 1e-5))}


@torch.no_grad()
def look_trained(model: nn.Module, generator: torch.Generator) -> None:
    """Uneven norms, sharp attention, biases, and a residual stream that starts small and grows.

    With an initialization's weights most bugs would drown, and with matrices all of one size some would be enormous.
    """
    gemma = "Gemma" in type(model).__name__
    sharp, mixed = uniform(generator, 1.2, 2.2), uniform(generator, 0.15, 0.6)
    embedded = uniform(generator, 0.05, 1.0)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        is_bias = name.endswith(("bias", "sinks"))
        if is_bias:
            weight.copy_(noise * (0.3 if name.endswith("sinks") else 0.15))
        elif weight.dim() == 1:
            weight.copy_((0.0 if gemma else 1.0) + 0.2 * noise)
        elif isinstance(_owner(model, name), nn.Embedding):
            tied = gemma or name.endswith(("wte.weight", "decoder.embed_tokens.weight"))
            weight.copy_(noise * (weight.shape[1] ** -0.5 if tied else embedded))
        else:
            weight.copy_(_gain(name, sharp, mixed) * noise / math.sqrt(_fan_in(model, name, weight)))
        if is_bias and weight.dim() > 1:
            weight.copy_(0.15 * noise)


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _fan_in(model: nn.Module, name: str, weight: Tensor) -> int:
    """How many products a result of this matrix is the sum of."""
    if isinstance(_owner(model, name), T.pytorch_utils.Conv1D):
        return weight.shape[0]
    if ".experts." in name:
        return weight.shape[1] if "GptOss" in type(model).__name__ else weight.shape[2]
    return weight[0].numel()


def _gain(name: str, sharp: float, mixed: float) -> float:
    """The standard deviation of what a matrix returns for inputs of variance one."""
    if any(part in name for part in ("q_proj", "k_proj", "self.query", "self.key")):
        return sharp
    if any(
        part in name for part in ("o_proj", "down_proj", "out_proj", "c_proj", "fc2", "dense_4h_to_h", "output.dense")
    ):
        return mixed
    if any(part in name for part in ("gate.weight", "router.weight", "c_attn", "qkv", "query_key_value")):
        return 1.5
    return 1.0


def _inputs(architecture: str, size: Size, generator: torch.Generator) -> Inputs:
    """One or two sentences; BERT's second ends early."""
    num_sentences = 2 if architecture == "bert" else choose(generator, (1, 2))
    ids = torch.randint(3, VOCABULARY - 1, (num_sentences, size.tokens), generator=generator)
    if architecture == "vit":
        return {"pixel_values": torch.randn(num_sentences, 3, 32, 32, generator=generator)}
    if architecture == "whisper":
        mel = torch.randn(num_sentences, 16, 64, generator=generator)
        return {"input_features": mel, "decoder_input_ids": ids}
    if architecture == "bert":
        mask = torch.ones_like(ids)
        mask[1, size.tokens * 2 // 3 :] = 0
        return {"input_ids": ids, "attention_mask": mask}
    return {"input_ids": ids}
