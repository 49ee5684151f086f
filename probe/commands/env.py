"""Say what probe runs on: versions, devices, what is installed and what is not.

examples:
  probe env
  probe env --json

exit codes: 0
"""

import argparse

PACKAGES = ("torch", "transformers", "numpy", "h5py", "einops", "rich", "textual", "matplotlib", "safetensors")
EXTRAS = ("xllamacpp", "gguf", "onnxruntime", "onnx")
"""What runs other targets."""
IN_PLACE_OF = ("llama-cpp-python",)
"""What would do as well as one of these, and is listed where it is there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(args: argparse.Namespace) -> bool:
    import platform
    from importlib import metadata

    from probe import __version__
    from probe.render.json import print_json

    found: dict[str, str | None] = {
        "probe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for package in (*PACKAGES, *EXTRAS, *IN_PLACE_OF):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if package not in IN_PLACE_OF:
                found[package] = None
    if found["torch"]:
        import torch

        found["accelerator"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
        found["threads"] = str(torch.get_num_threads())
    if args.json:
        print_json(found)
        return False
    for name, version in found.items():
        print(f"{name:16s} {version or f'not installed (pip install {name})'}")
    return False
