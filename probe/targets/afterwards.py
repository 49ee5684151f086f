"""What is asked once a run is recorded, and added to its dump: does it repeat itself, and is its prompt a chat's?"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from probe.capture.repeat import repetition
from probe.dump import Dump
from probe.dump.amend import add_attributes, add_repetition
from probe.errors import ProbeError
from probe.targets.calls import Calls, play
from probe.targets.foreign import message, raised_at
from probe.targets.target import Target


def run_again(model: nn.Module, calls: Calls, path: Path, num_runs: int) -> list[str]:
    """Run the model until it ran `num_runs` times in all; the dump's attribute and table `repetition`, and a note."""
    try:
        with Dump(path) as dump, torch.no_grad():
            found = repetition(model, lambda: play(model, calls).output, dump, num_runs)
    except ProbeError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__} when it was run again: {message(error)}{raised_at(error)}"
        raise ProbeError(f"the model raised {what}", hint=f"its first run is in {path}") from error
    seen = found.attribute
    add_attributes(path, repetition=seen)
    if found.rows:
        add_repetition(path, found.rows)
    if seen["taps"]:
        _, tap, size = seen["taps"][0]
        return [f"run again on the same inputs, {seen['num_differing']} taps differ, first {tap} by {size:.1e} of it"]
    if seen["recording_moved_output"]:
        return ["without hooks the same run gives other numbers: recording moved the output"]
    return [f"{num_runs} runs on the same inputs are the same bit for bit, and so is one without hooks"]


def ask_for_template(path: Path, target: Target, prompts: Sequence[str], *, trust_remote_code: bool) -> list[str]:
    """The dump's attribute `prompt`; a note where the tokenizer has a chat template that the prompts do not use."""
    from probe.targets.chat import chat_template_use

    use = chat_template_use(target.place, prompts, trust_remote_code=trust_remote_code)
    if use:
        add_attributes(path, prompt=use)
    if use and use.get("uses_chat_template") is False:
        return ["the tokenizer has a chat template, and the prompt does not use it"]
    return []


def left_out(path: Path) -> list[str]:
    """A note where functional taps were left out for their size."""
    with Dump(path) as dump:
        kinds = (dump.attribute("notes") or {}).get("left_out", {})
    if not kinds:
        return []
    size = sum(kinds.values()) / 1e6
    return [
        f"left out {len(kinds)} kinds of functional taps ({size:.1f} MB), as {min(kinds)}: --functional all has them"
    ]
