"""What a run of llama.cpp ran on."""

import platform
from typing import Any

from probe import __version__ as probe_version
from probe.targets.gguf.file import ModelFile
from probe.targets.gguf.native import NAMES, build, installed, library, version


def environment(model: ModelFile, options: dict[str, Any]) -> dict[str, Any]:
    """As probe.capture.environment has it, and the options."""
    package, _ = installed()
    told = {"llama.cpp": f"(ggml {build(library())})", NAMES[package]: version(package), "gguf": version("gguf")}
    ours = {"python": platform.python_version(), "layer-probe": probe_version}
    return {
        "versions": {**told, **ours},
        "platform": platform.platform(),
        "device": "cpu",
        "dtype": "float32",  # of what lies between the weights
        "weights": model.dtype,
        "training": [],
        "attention": "flash" if options["flash"] else "eager",
        "num_threads": options["threads"],
        "options": options,
    }
