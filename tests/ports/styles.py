"""All ports of the zoo's architectures, each in a style of its own, and what is known of each.

Truths that name channels hold for the sizes of `Size()`, whatever the number of layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.ports import (
    bert,
    gemma,
    gemma3,
    gpt2,
    gpt2_kernels,
    llama,
    llama_megatron,
    llama_meta,
    llama_padded,
    llama_sharded,
    mixtral,
    qwen3,
    whisper,
)
from tests.ports.truth import Truth
from tests.zoo.architectures import VOCABULARY, Size, build

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Style:
    """One port."""

    name: str
    architecture: str
    """Its reference, of tests/zoo/architectures.py."""
    convert: Callable[[dict[str, Tensor], Any], nn.Module]
    """From the reference's weights and configuration."""
    truth: Truth
    renamed: tuple[tuple[str, str], ...] = ()
    """What the port calls the reference's inputs, where it is something else."""
    inputs: Callable[[int, int, int], Inputs] | None = None
    """What the reference is fed: of a seed, so many sentences of so many tokens. Token ids alone where it is None."""

    def reference(self, size: Size, seed: int = 0) -> nn.Module:
        model = build(self.architecture, size, seed)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if ".experts." in name:  # the zoo's are small enough for experts to add next to nothing
                    weight.mul_(weight.shape[1] ** 0.5)
        return model

    def candidate(self, reference: nn.Module) -> nn.Module:
        return self.convert(reference.state_dict(), reference.config)

    def fed(self, seed: int = 0, tokens: tuple[int, int] = (2, 13)) -> tuple[Inputs, Inputs]:
        """What the reference and the port are fed, [B, T] ids: the same, under the names that each gives it.

        Two sentences, so that no axis of size one hides a wrong order of axes.
        """
        inputs = self.inputs(seed, *tokens) if self.inputs else {"input_ids": token_ids(seed, *tokens)}
        names = dict(self.renamed)
        return inputs, {names.get(name, name): value for name, value in inputs.items()}


def token_ids(seed: int, num_sentences: int, num_tokens: int) -> Tensor:
    return torch.randint(3, VOCABULARY, (num_sentences, num_tokens), generator=torch.Generator().manual_seed(seed))


def speech(seed: int, num_sentences: int, num_tokens: int) -> Inputs:
    """Spectrograms (B, 16, 64) and what is said."""
    mel = torch.randn(num_sentences, 16, 64, generator=torch.Generator().manual_seed(seed))
    return {"input_features": mel, "decoder_input_ids": token_ids(seed, num_sentences, num_tokens)}


def padded_batch(seed: int, num_sentences: int, num_tokens: int) -> Inputs:
    """Every sentence but the first ends early."""
    mask = torch.ones(num_sentences, num_tokens, dtype=torch.long)
    mask[1:, num_tokens * 2 // 3 :] = 0
    return {"input_ids": token_ids(seed, num_sentences, num_tokens), "attention_mask": mask}


STYLES = [
    Style("qwen3, a matrix a head", "qwen3", qwen3.convert, qwen3.TRUTH, renamed=(("input_ids", "tokens"),)),
    Style("gpt2, nanoGPT", "gpt2", gpt2.convert, gpt2.TRUTH, renamed=(("input_ids", "idx"),)),
    Style("gpt2, [in, out]", "gpt2", gpt2_kernels.convert, gpt2_kernels.TRUTH, renamed=(("input_ids", "ids"),)),
    Style("gemma3, JAX", "gemma3", gemma3.convert, gemma3.TRUTH, renamed=(("input_ids", "tokens"),)),
    Style(
        "gemma3, JAX, 1 + w folded",
        "gemma3",
        partial(gemma3.convert, folded=True),
        gemma3.FOLDED_TRUTH,
        renamed=(("input_ids", "tokens"),),
    ),
    Style("mixtral, a module an expert", "mixtral", mixtral.convert, mixtral.TRUTH),
    Style(
        "whisper, OpenAI",
        "whisper",
        whisper.convert,
        whisper.TRUTH,
        renamed=(("input_features", "mel"), ("decoder_input_ids", "tokens")),
        inputs=speech,
    ),
    Style("bert, fused, no padding", "bert", bert.convert, bert.TRUTH, inputs=padded_batch),
    Style("gemma2, fused", "gemma2", gemma.convert, gemma.TRUTH),
    Style("llama, fused", "llama", llama.convert, llama.TRUTH),
    Style("llama, Meta", "llama", llama_meta.convert, llama_meta.TRUTH, renamed=(("input_ids", "tokens"),)),
    Style("llama, padded", "llama", llama_padded.convert, llama_padded.TRUTH),
    Style("llama, sharded", "llama", llama_sharded.convert, llama_sharded.TRUTH),
    Style("llama, Megatron", "llama", llama_megatron.convert, llama_megatron.TRUTH),
]
