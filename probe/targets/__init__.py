"""What can be run: `hf:DIR` (transformers), `py:FILE.py:FUNCTION` (any nn.Module), runtimes' files. One file a kind."""

from probe.targets.inputs import InputRequest, inputs_for
from probe.targets.target import Loaded, LoadOptions, Target, load, parse, read_arguments
from probe.targets.trusted import may_load, sign

__all__ = [
    "InputRequest",
    "LoadOptions",
    "Loaded",
    "Target",
    "inputs_for",
    "load",
    "may_load",
    "parse",
    "read_arguments",
    "sign",
]
