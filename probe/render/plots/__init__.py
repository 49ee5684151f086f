"""Pictures of a comparison, as matplotlib figures: `probe.plot` from Python, `probe plot` from the command line.

Of a report `depth`, `ledger` and `weights`; of two dumps, open or by their paths, `tokens`, `channels`, `histogram`,
`attention` and `logits`.

    report = probe.diff("ref.h5", "cand.h5")
    probe.plot.depth(report).savefig("depth.svg")
    probe.plot.tokens("ref.h5", "cand.h5", report=report)

A figure is made without pyplot: nothing is left open, and a notebook shows it as the value of a cell.
"""

from probe.render.plots.attention import attention
from probe.render.plots.channels import channels
from probe.render.plots.depth import depth
from probe.render.plots.histogram import histogram
from probe.render.plots.ledger import ledger
from probe.render.plots.logits import logits
from probe.render.plots.style import save
from probe.render.plots.tokens import tokens
from probe.render.plots.weights import weights

__all__ = ["attention", "channels", "depth", "histogram", "ledger", "logits", "save", "tokens", "weights"]
