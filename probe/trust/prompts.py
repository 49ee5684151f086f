"""Is the prompt one that this model is made for? Both sides may be fed the same wrong thing."""

from collections.abc import Iterator

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.report import Status, TrustCheck
from probe.trust.fed import tokens


def prompted_well(reference: Dump, candidate: Dump, mapping: Mapping) -> Iterator[TrustCheck]:
    """Only warned of: the comparison holds, but the model is run on what it was never trained on."""
    for name, dump in (("reference", reference), ("candidate", candidate)):
        prompt = dump.attribute("prompt")
        if isinstance(prompt, dict) and prompt.get("has_chat_template") and prompt.get("uses_chat_template") is False:
            message = f"the {name}'s tokenizer has a chat template, and the prompt does not use it"
            yield TrustCheck("template", Status.WARN, f"{message}: an instruction-tuned model expects its own markers")
    config = reference.attribute("config")
    begin = config.get("bos_token_id") if isinstance(config, dict) else None
    ids = tokens(reference)
    if not isinstance(begin, int) or ids is None or ids.ndim == 0 or ids.shape[-1] < 2:
        return
    rows = ids.reshape(-1, ids.shape[-1])
    if (rows[:, :2] == begin).all(axis=1).any() and begin not in _padding(config):
        message = f"the prompt begins with BOS (token {begin}) twice: a template writes it, and the tokenizer again"
        yield TrustCheck("template", Status.WARN, message)


def _padding(config: object) -> tuple[object, ...]:
    """Tokens that stand many times in a row for a good reason."""
    return (config.get("pad_token_id"), config.get("eos_token_id")) if isinstance(config, dict) else ()
