"""What others make of the same recording: python -m tests.bench.peers PEER TOKENS BYTES FOLDER, in .venv-peers.

Prints the seconds of plain runs, of raw writes of so many bytes, and of recordings, taken in turn, as JSON. Every
peer writes (TorchLens keeps in memory) what each module is given and returns, at its own defaults for full tensors.
"""

import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from tests.bench.llama import forward, llama, tokens
from tests.bench.measurement import in_turn
from tests.bench.recording import write

Run = Callable[[], object]
ROUNDS = 3


def hooks_and_numpy(model: nn.Module, ids: torch.Tensor, folder: Path) -> Run:
    """The script that everybody writes first: outputs and inputs alike, one file a tensor."""

    def run() -> None:
        (folder / "numpy").mkdir()
        counter = itertools.count()

        def save(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            for leaf in pytree.tree_leaves((args, kwargs, output)):
                if isinstance(leaf, torch.Tensor):
                    np.save(folder / "numpy" / f"{next(counter)}.npy", leaf.detach().numpy())

        handles = [module.register_forward_hook(save, with_kwargs=True) for module in model.modules()]
        with torch.no_grad():
            model(ids)
        for handle in handles:
            handle.remove()

    return run


def transformers_debugger(model: nn.Module, ids: torch.Tensor, folder: Path) -> Run:
    from transformers import model_addition_debugger_context

    def run() -> None:
        with (
            torch.no_grad(),
            model_addition_debugger_context(model, str(folder / "hf"), do_prune_layers=False, use_repr=False),
        ):
            model(ids)

    return run


def torchlens(model: nn.Module, ids: torch.Tensor, folder: Path) -> Run:
    import torchlens

    def run() -> None:
        with torch.no_grad():
            torchlens.trace(model, ids)

    return run


def msprobe(model: nn.Module, ids: torch.Tensor, folder: Path) -> Run:
    from msprobe.pytorch import PrecisionDebugger

    kinds = {"scope": [], "list": [], "data_mode": ["all"], "summary_mode": "statistics"}
    asked = {"task": "tensor", "dump_path": str(folder / "msprobe"), "rank": [], "step": [], "level": "L0"}
    configuration = folder / "msprobe.json"
    configuration.write_text(json.dumps({**asked, "tensor": kinds}))
    debugger = PrecisionDebugger(config_path=str(configuration))

    def run() -> None:
        debugger.start(model=model)
        with torch.no_grad():
            model(ids)
        debugger.stop()
        debugger.step()

    return run


PEERS = {
    "hooks + np.save": hooks_and_numpy,
    "transformers debugger": transformers_debugger,
    "TorchLens (in memory)": torchlens,
    "msprobe": msprobe,
}


def main(peer: str, num_tokens: int, num_bytes: int, folder: Path) -> None:
    model, ids = llama(), tokens(num_tokens)
    content = memoryview(np.random.default_rng(0).bytes(num_bytes))

    def tidy() -> None:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name == "written":
                path.unlink()

    actions = {"forward": forward(model, ids), "write": lambda: write(content, folder / "written")}
    actions["record"] = PEERS[peer](model, ids, folder)
    sys.stdout.flush()
    print(json.dumps(in_turn(ROUNDS, actions, tidy)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
