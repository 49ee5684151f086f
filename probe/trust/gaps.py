"""What a model has that an input may not exercise, one function a thing; from its configuration and what it did."""

from collections.abc import Iterator

import numpy as np

from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.dump.joined import spans
from probe.tap import Tap
from probe.trust.fed import Role, fed, tokens
from probe.trust.gap import Gap, Shown, whole_number
from probe.trust.masks import seen_keys
from probe.trust.reading import LARGEST
from probe.trust.twins import is_float


def softcap(seen: Shown) -> Iterator[Gap]:
    """c tanh(x / c) is x (1 - x^2 / 3 c^2): in a small dtype a weak one is less than rounding."""
    rounding = max(_rounding(seen.reference), _rounding(seen.candidate))
    words, wide = "--inputs {reference} --dtype fp32", "record both in float32"
    cap = seen.config.get("final_logit_softcapping")
    logits = next(
        (t for t in seen.reference.module_taps if not t.module and not t.is_input and t.port == "out.logits"), None
    )
    if isinstance(cap, (int, float)) and cap > 0 and logits:
        largest = max(abs(logits.statistics.minimum), abs(logits.statistics.maximum))
        if (largest / cap) ** 2 / 3 < 4 * rounding:
            yield Gap(f"a softcap of {cap:g} on logits of at most {largest:.2g}", words=words, otherwise=wide)
    cap = seen.config.get("attn_logit_softcapping")
    if isinstance(cap, (int, float)) and cap > 0 and rounding > UNIT_ROUNDOFF["float32"]:
        yield Gap(
            f"a softcap of {cap:g} on small attention scores (they are not recorded)", words=words, otherwise=wide
        )


def padding(seen: Shown) -> Iterator[Gap]:
    """Position ids and masks of padded sentences go wrong without an error."""
    if not seen.num_tokens or not seen.config.get("model_type"):
        return
    masks = [argument.numbers for argument in fed(seen.reference) if argument.role is Role.MASK]
    if not any(mask.ndim > 1 and not seen_keys(mask).all() for mask in masks):
        words = "--prompt 'A sentence that is longer' --prompt 'than this'"
        yield Gap("padding", words=words, otherwise="feed two sentences of unequal length and their attention_mask")


def decode(seen: Shown) -> Iterator[Gap]:
    """The cache and its positions only tell from the second step on."""
    found = seen.config.get("architectures")
    names = found if isinstance(found, list) else []
    kinds = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    decoded = len(seen.reference.steps) > 1 or spans(seen.candidate)
    if not decoded and any(str(name).endswith(kinds) for name in names):
        how = "with probe.record(model, FILE): model.generate(**inputs, max_new_tokens=4)"
        yield Gap("decoding with a cache", words="--inputs {reference} --decode 8", otherwise=how)


def experts(seen: Shown) -> Iterator[Gap]:
    """An expert that no token chose may hold any weights."""
    keys = ("num_experts", "num_local_experts", "n_routed_experts")
    num_experts = next((whole_number(seen.config.get(key)) for key in keys if whole_number(seen.config.get(key))), 0)
    chosen_each = next((whole_number(seen.config.get(key)) for key in ("num_experts_per_tok", "moe_topk")), 0)
    if num_experts < 2 or not 0 < chosen_each < num_experts:
        return
    unused = num_layers = 0
    for tap in seen.reference.module_taps:
        if _routes(tap, num_experts) and tap.step == seen.reference.steps[0]:
            scores = seen.reference.read(tap).reshape(-1, num_experts)
            chosen = np.argpartition(scores, -chosen_each, axis=1)[:, -chosen_each:]
            unused += num_experts - len(np.unique(chosen))
            num_layers += 1
    if unused:
        more = max(4 * seen.num_tokens, 8 * num_experts // chosen_each)
        yield Gap(f"{unused} of {num_layers * num_experts} experts, which no token chose", num_tokens=more)


def _routes(tap: Tap, num_experts: int) -> bool:
    name = tap.module.rpartition(".")[2]
    is_router = name in ("gate", "router") and tap.port == "out" and is_float(tap)
    return is_router and tap.shape[-1:] == (num_experts,) and tap.num_elements <= LARGEST


def vocabulary(seen: Shown) -> Iterator[Gap]:
    """Rows of an embedding that nobody looked up; where the candidate's weights are recorded, those tell more."""
    ids, size = tokens(seen.reference), whole_number(seen.config.get("vocab_size"))
    if ids is not None and size and not seen.candidate.weights:
        yield Gap(f"{size - len(np.unique(ids)):,} of {size:,} tokens' embeddings", num_tokens=4 * seen.num_tokens)


def _rounding(dump: Dump) -> float:
    return UNIT_ROUNDOFF.get(dump.dtype, 0.0)
