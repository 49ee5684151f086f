"""What a model has that an input may not exercise, one function a thing; from its configuration and what was recorded.

T tokens of the longest sentence, over all steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.tap import Tap
from probe.trust.fed import Role, fed, tokens
from probe.trust.inputs import seen_keys
from probe.trust.reading import LARGEST
from probe.trust.twins import is_float


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that this input cannot show."""

    what: str
    num_tokens: int | None = None
    """So many tokens would show it."""
    words: str | None = None
    """Words of `probe dump` that would, after the target; with {reference}, the reference's dump."""
    otherwise: str | None = None
    """What to do where there is no such command."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the rules look at."""

    reference: Dump
    candidate: Dump
    mapping: Mapping
    config: dict[str, Any]
    """The reference's, of its language model where it has several; empty where it has none."""
    num_tokens: int
    """T; 0 where the model was fed none."""


Rule = Callable[[Shown], Iterator[Gap]]


def shown(reference: Dump, candidate: Dump, mapping: Mapping) -> Shown:
    config = reference.attribute("config")
    config = config if isinstance(config, dict) else {}
    text = next((config[key] for key in ("text_config", "llm_config") if isinstance(config.get(key), dict)), config)
    fed_T = [ids.shape[-1] for step in reference.steps if (ids := tokens(reference, step)) is not None and ids.ndim]
    return Shown(reference, candidate, mapping, text, sum(fed_T))


def window(seen: Shown) -> Iterator[Gap]:
    """Nobody looks back further than a prompt is long: token W is the first that a window of W hides."""
    config = seen.config
    kinds = config.get("layer_types")
    named = not isinstance(kinds, list) or any(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
    if not named or config.get("use_sliding_window") is False or not seen.num_tokens:
        return
    sizes = [_whole(config.get(key)) for key in ("sliding_window", "attention_chunk_size")]
    sizes.append(_whole(config.get("local_attention")) // 2)  # ModernBERT: as many to the left as to the right
    size = max(sizes)
    if size and seen.num_tokens <= size:
        yield Gap(f"a window of {size:,} tokens (it has {seen.num_tokens:,})", num_tokens=_beyond(size, config))


def rope_scaling(seen: Shown) -> Iterator[Gap]:
    """Scalings that leave short prompts (nearly) alone: dynamic, longrope, yarn, llama3."""
    config = seen.config
    for rope in _ropes(config):
        kind = rope.get("rope_type") or rope.get("type")
        if kind not in ("dynamic", "longrope", "su", "yarn", "llama3"):
            continue
        keys = [rope.get("original_max_position_embeddings"), config.get("original_max_position_embeddings")]
        keys += [config.get("max_position_embeddings")] if kind == "dynamic" else []
        size = next((_whole(key) for key in keys if _whole(key)), 0)
        if size and 0 < seen.num_tokens <= size:
            longest = {} if kind == "dynamic" else config
            what = f"rope scaling ({kind}) past {size:,} tokens"
            yield Gap(what, num_tokens=_beyond(size, longest))
            return


def softcap(seen: Shown) -> Iterator[Gap]:
    """c tanh(x / c) is x (1 - x^2 / 3 c^2): in a small dtype a weak one is less than rounding."""
    rounding = max(_rounding(seen.reference), _rounding(seen.candidate))
    words, wide = "--inputs {reference} --dtype fp32", "record both in float32"
    cap = seen.config.get("final_logit_softcapping")
    logits = next((t for t in seen.reference.taps if not t.module and not t.is_input and t.port == "out.logits"), None)
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
    if len(seen.reference.steps) == 1 and any(str(name).endswith(kinds) for name in names):
        how = "with probe.record(model, FILE): model.generate(**inputs, max_new_tokens=4)"
        yield Gap("decoding with a cache", otherwise=how)


def experts(seen: Shown) -> Iterator[Gap]:
    """An expert that no token chose may hold any weights."""
    keys = ("num_experts", "num_local_experts", "n_routed_experts")
    num_experts = next((_whole(seen.config.get(key)) for key in keys if _whole(seen.config.get(key))), 0)
    chosen_each = next((_whole(seen.config.get(key)) for key in ("num_experts_per_tok", "moe_topk")), 0)
    if num_experts < 2 or not 0 < chosen_each < num_experts:
        return
    unused = num_layers = 0
    for tap in seen.reference.taps:
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
    ids, size = tokens(seen.reference), _whole(seen.config.get("vocab_size"))
    if ids is not None and size and not seen.candidate.weights:
        yield Gap(f"{size - len(np.unique(ids)):,} of {size:,} tokens' embeddings", num_tokens=4 * seen.num_tokens)


RULES: tuple[Rule, ...] = (window, rope_scaling, softcap, experts, padding, decode, vocabulary)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _beyond(size: int, config: dict[str, Any]) -> int | None:
    """A sixteenth more than `size`, in round numbers; None where the model cannot take so many."""
    count = size * 17 // 16 + 8
    count = -(-count // 100) * 100 if count > 200 else count
    longest = _whole(config.get("max_position_embeddings")) or count
    return min(count, longest) if longest > size else None


def _ropes(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`rope_scaling`, or `rope_parameters` of transformers 5, which may be one a kind of layer."""
    for key in ("rope_scaling", "rope_parameters"):
        rope = config.get(key)
        if isinstance(rope, dict):
            nested = [value for value in rope.values() if isinstance(value, dict)]
            yield from nested or [rope]


def _rounding(dump: Dump) -> float:
    return UNIT_ROUNDOFF.get(str(dump.environment.get("dtype")), 0.0)
