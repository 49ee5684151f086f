"""What comes out: the head, and the cap and the scale of logits."""

from typing import Any

import torch
from torch import nn

from tests.zoo.bug import Bug, Site
from tests.zoo.planted.embeddings import TIED, UNTIED, fresh
from tests.zoo.plants import change_output, change_weight, set_config, wrap


def head_of_its_own(site: Site) -> None:
    for name in site.names("head"):
        head = site.model.get_submodule(name)
        head.weight = nn.Parameter(fresh(head.weight.data, site), requires_grad=False)


def logits(change: Any) -> Any:
    def wrapper(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits = change(output.logits)
        return output

    return wrap("top", wrapper)


BUGS = [
    Bug(
        "tied head never tied",
        "head.untied",
        TIED,
        ("head", "top"),
        code=head_of_its_own,
        scope="model",
        also=("linear.weight_missing",),
    ),
    Bug(
        "head never loaded",
        "linear.weight_missing",
        UNTIED,
        ("head", "top"),
        weights=change_weight("head", fresh),
        scope="model",
        also=("head.untied",),
    ),
    Bug(
        "softcap of logits off",
        "head.softcap",
        ("gemma2",),
        ("top", "head"),
        code=set_config("final_logit_softcapping", None),
        scope="model",
    ),
    Bug(
        "softcap of logits x tanh(x / c)",
        "head.softcap",
        ("gemma2",),
        ("top", "head"),
        code=logits(
            lambda capped: (x := 30 * torch.atanh((capped.float() / 30).clamp(-0.9999, 0.9999))) * torch.tanh(x / 30)
        ),
        scope="model",
        dtypes=("fp32",),
    ),
    Bug(
        "logits not scaled",
        "head.scale",
        ("granite",),
        ("top", "head"),
        code=set_config("logits_scaling", 1.0),
        scope="model",
    ),
    Bug(
        "logits scaled",
        "head.scale",
        UNTIED,
        ("top", "head"),
        code=change_output("head", lambda x: x * 0.125),
        scope="model",
    ),
]
