"""py: targets that wait to be interrupted.

A shell starts what it runs in the background deaf to ctrl+c, and the tests with it: these listen again.
"""

import os
import signal

from torch import Tensor, nn


def waiting() -> nn.Module:
    """Says through the pipe READY that it is here, and never returns."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(int(os.environ["READY"]), b"!")
    while True:
        signal.pause()


class Interrupted(nn.Module):
    """Presses ctrl+c itself, after its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.linear(x)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)
        return x


def interrupted() -> tuple[nn.Module, Tensor]:
    module = Interrupted()
    return module, module.linear.weight.detach()
