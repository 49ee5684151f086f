"""What a run ran on: everything besides weights and inputs that can move a number."""

import json
import platform
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

import torch
from torch import nn

from probe.capture.tensors import dtype_name

PACKAGES = (
    "layer-probe",
    "torch",
    "transformers",
    "numpy",
    "h5py",
    "safetensors",
    "accelerate",
    "liger-kernel",
    "vllm",
)


def environment(model: nn.Module) -> dict[str, Any]:
    """Versions, device, dtype, train or eval mode, attention implementation, precision flags. All JSON."""
    parameters = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    dtypes = Counter(dtype_name(parameter.dtype) for parameter in parameters)
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "device": str(parameters[0].device) if parameters else "cpu",
        "dtype": dtypes.most_common(1)[0][0] if dtypes else dtype_name(torch.get_default_dtype()),
        "buffer_dtype": dtype_name(buffers[0].dtype) if buffers else None,
        "training": [name for name, module in model.named_modules() if getattr(module, "training", False)][:20],
        "attention": getattr(getattr(model, "config", None), "_attn_implementation", None),
        "float32_matmul_precision": _flag(torch.get_float32_matmul_precision),
        "tf32": {
            "matmul": _flag(lambda: torch.backends.cuda.matmul.allow_tf32),
            "cudnn": _flag(lambda: torch.backends.cudnn.allow_tf32),
        },
        "fp32_precision": {
            "matmul": getattr(torch.backends.cuda.matmul, "fp32_precision", None),
            "cudnn": getattr(torch.backends.cudnn, "fp32_precision", None),
            "mkldnn": getattr(torch.backends.mkldnn, "fp32_precision", None),
        },
        "reduced_precision": {
            "fp16": torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
            "bf16": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        },
        "autocast": torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "num_threads": torch.get_num_threads(),
        "command": sys.argv[:1] and [sys.argv[0].rpartition("/")[2], *sys.argv[1:]],
    }


@cache
def versions() -> dict[str, str]:
    """Of Python and of what is installed of PACKAGES."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def config(model: nn.Module) -> Any:
    """The model's own configuration as JSON data; None where it has none."""
    own = getattr(model, "config", None)
    if own is None:
        return None
    described = own.to_dict() if hasattr(own, "to_dict") else getattr(own, "__dict__", None)
    try:
        return json.loads(json.dumps(described, default=str, skipkeys=True))
    except ValueError:  # a configuration that contains itself
        return str(described)


def _flag(read: Callable[[], Any]) -> Any:
    """None where torch refuses: from 2.9 on, once a program has set any `fp32_precision` instead."""
    try:
        return read()
    except RuntimeError:
        return None
