"""A transformers model as the contents of a GGUF file, as llama.cpp's own convert_hf_to_gguf.py lays it out.

Contents are keys and tensors that a test may still change; `write` makes the file of them.
"""

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from probe.targets.gguf import native

Array = np.ndarray[Any, Any]

OF_LIBRARY = {"Q4_K", "Q5_K", "Q6_K", "Q3_K", "Q2_K"}
"""Types that the gguf package reads but does not write."""


@dataclass
class Contents:
    """What a GGUF file holds."""

    architecture: str
    keys: dict[str, Any]
    """Without the architecture: "rope.freq_base"."""
    tensors: dict[str, Array]
    """float32, in the file's order of rows."""


def contents(model):
    """Of a Llama, Qwen 3, Gemma 1 to 3 or Phi-3 of transformers."""
    config = model.config
    kind = config.model_type.removesuffix("_text")
    tensors = {}
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, kind.upper()), config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        stored = names.get_name(name, try_suffixes=(".weight",))
        assert stored, name
        tensors[stored] = _stored(tensor.float().numpy(), name, kind, config)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    if rope["rope_type"] == "llama3":
        tensors["rope_freqs.weight"] = _llama3_factors(rope, _head_dim(config))
    return Contents(kind, _keys(config, kind, rope), tensors)


def _stored(values, name, kind, config):
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        return values + np.float32(1)
    if kind == "llama" and ".q_proj." in name:
        return interleaved(values, config.num_attention_heads)
    if kind == "llama" and ".k_proj." in name:
        return interleaved(values, config.num_key_value_heads)
    return values


def interleaved(rows, num_heads):
    """Rows of neighbouring rotary channels, from rows of half-split ones."""
    halves = rows.reshape(num_heads, 2, rows.shape[0] // num_heads // 2, rows.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def half_split(rows, num_heads):
    """`interleaved`, undone."""
    pairs = rows.reshape(num_heads, rows.shape[0] // num_heads // 2, 2, rows.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def _head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _keys(config, kind, rope):
    head_dim = _head_dim(config)
    keys = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(rope["rope_theta"]),
        "vocab_size": config.vocab_size,
    }
    if kind in ("gemma2", "gemma3"):
        keys["attention.sliding_window"] = config.sliding_window
    if kind == "gemma2":
        keys["attn_logit_softcapping"] = float(config.attn_logit_softcapping)
        keys["final_logit_softcapping"] = float(config.final_logit_softcapping)
    if kind == "gemma3":
        keys["attention.sliding_window_pattern"] = config.layer_types.index("full_attention") + 1
        keys["rope.freq_base_swa"] = float(config.rope_parameters["sliding_attention"]["rope_theta"])
    return keys


def _llama3_factors(rope, head_dim):
    """What llama.cpp divides each frequency by: convert_hf_to_gguf.py, LlamaModel.generate_extra_tensors."""
    frequencies = 1.0 / rope["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    length = rope["original_max_position_embeddings"]
    factors = []
    for wavelength in 2 * math.pi / frequencies:
        smooth = np.clip((length / wavelength - low) / (high - low), 0, 1)
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def write(contents: Contents, path: Path, kind: str = "F32") -> Path:
    """The file; its matrices are of a `gguf.GGMLQuantizationType`, vectors always F32."""
    writer = gguf.GGUFWriter(str(path), contents.architecture)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("none")
    for name, value in contents.keys.items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{contents.architecture}.{name}", value)
    stored_as = gguf.GGMLQuantizationType[kind]
    for name, values in contents.tensors.items():
        if values.ndim == 1 or kind == "F32":
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, quantized(values, stored_as), raw_dtype=stored_as)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def quantized(values, stored_as):
    """The bytes of [rows, columns] in a type."""
    if stored_as.name not in OF_LIBRARY:
        return gguf.quants.quantize(values, stored_as)
    library = native.library()
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        *[ctypes.c_void_p] * 2,
        *[ctypes.c_int64] * 3,
        ctypes.c_void_p,
    ]
    values = np.ascontiguousarray(values, np.float32)
    num_rows, num_columns = values.shape
    made = np.empty((num_rows, library.ggml_row_size(stored_as, num_columns)), np.uint8)
    library.ggml_quantize_chunk(stored_as, values.ctypes.data, made.ctypes.data, 0, num_rows, num_columns, None)
    return made
