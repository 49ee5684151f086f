"""A conformer's convolution blocks, as transformers names them and as llama.cpp does: py: targets.

Gemma 4's audio encoder has a norm before the convolution and one behind it; the converter's table of names had the two
entries inverted (github.com/ggml-org/llama.cpp/pull/21451): the cosine with the reference was 0.67.

B clips of T frames, C channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS, NUM_LAYERS, KERNEL = 32, 3, 5
NAMES = {
    "pre_layer_norm": "norm_conv",
    "linear_start": "conv_pw1",
    "depthwise_conv1d": "conv_dw",
    "conv_norm": "conv_norm",
    "linear_end": "conv_pw2",
}
"""transformers' names, and llama.cpp's."""
INVERTED = {**NAMES, "pre_layer_norm": "conv_norm", "conv_norm": "norm_conv"}


class Norm(nn.Module):
    """x / sqrt(mean(x^2) + 1e-6) times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.3 * torch.randn(CHANNELS))

    def forward(self, x_BTC: Tensor) -> Tensor:
        return x_BTC * torch.rsqrt(x_BTC.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class Block(nn.Module):
    """`names` are of its parts, in the order of NAMES."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        parts = (
            Norm(),
            nn.Linear(CHANNELS, 2 * CHANNELS, bias=False),
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, groups=CHANNELS, bias=False),
            Norm(),
            nn.Linear(CHANNELS, CHANNELS, bias=False),
        )
        for name, part in zip(names, parts, strict=True):
            self.add_module(name, part)

    def forward(self, x_BTC: Tensor) -> Tensor:
        before, start, convolution, after, end = (self.get_submodule(name) for name in self.names)
        gated_BCT = F.glu(start(before(x_BTC)), dim=-1).transpose(1, 2)
        mixed_BTC = convolution(F.pad(gated_BCT, (KERNEL - 1, 0))).transpose(1, 2)
        return x_BTC + end(F.silu(after(mixed_BTC)))


class Encoder(nn.Module):
    def __init__(self, layers: str, names: list[str]) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, CHANNELS)
        self.add_module(layers, nn.ModuleList(Block(names) for _ in range(NUM_LAYERS)))
        self.layers_name = layers

    def forward(self, input_ids: Tensor) -> Tensor:
        x_BTC = self.embed(input_ids)
        for layer in self.get_submodule(self.layers_name):
            x_BTC = layer(x_BTC)
        return x_BTC


def reference() -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder("layers", list(NAMES)).eval()


def converted(table: str = "right") -> Encoder:
    """llama.cpp's, of transformers' weights; `table` may be "inverted"."""
    names = INVERTED if table == "inverted" else NAMES
    model = Encoder("blk", list(NAMES.values()))
    weights = {}
    for name, value in reference().state_dict().items():
        for ours, theirs in names.items():
            if f".{ours}." in name:
                name = name.replace(f".{ours}.", f".{theirs}.").replace("layers.", "blk.")
                break
        weights[name] = value
    model.load_state_dict(weights)
    return model.eval()
