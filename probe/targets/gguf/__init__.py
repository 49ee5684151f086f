"""llama.cpp: `gguf:FILE`, run by the library that xllamacpp or llama-cpp-python brings along, and told as modules.

What computes with a weight of the file is a module of the weight's name: `blk.3.attn_q` has `in` and `out`, and its
kind is ggml's operation; the `out` is after the bias, where there is one. A norm is given what is normed. A head that
is the embedding is `output`. `blk.3` is a layer, "" the model: `in.input_ids`, `out.logits`.

All else is a function of its layer, called as ggml calls the tensor without the layer's number, or as the operation
where it has no name: `blk.3.@ffn_swiglu:out`, `blk.3.@norm.1:out`; its kind is the operation. Attention is told as
PyTorch's is, `blk.3.@attention:in.query`, with what the cache holds of the tokens so far. Views compute nothing and are
not told; nor is what is written into the cache: attention tells what it reads there.

B is 1: activations are [1, T, C], or [1, T, H, C] where heads are apart, as in PyTorch.
"""

from probe.targets.apart import run_apart
from probe.targets.gguf.native import installed
from probe.targets.runtime import Job, Progress


def record(job: Job, progress: Progress) -> list[str]:
    """Run it in a process of its own: notes. ProbeError with llama.cpp's last words where that ends badly."""
    installed()
    return run_apart("llama.cpp", "probe.targets.gguf.play", job, progress, {"GGML_NO_BACKTRACE": "1"})
