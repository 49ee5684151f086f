"""What only a longer prompt exercises: attention windows, and rotary embeddings that are scaled for length."""

from collections.abc import Iterator
from typing import Any

from probe.trust.gap import Gap, Shown, whole_number


def window(seen: Shown) -> Iterator[Gap]:
    """Nobody looks back further than a prompt is long: token W is the first that a window of W hides."""
    config = seen.config
    kinds = config.get("layer_types")
    named = not isinstance(kinds, list) or any(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
    if not named or config.get("use_sliding_window") is False or not seen.num_tokens:
        return
    sizes = [whole_number(config.get(key)) for key in ("sliding_window", "attention_chunk_size")]
    sizes.append(whole_number(config.get("local_attention")) // 2)  # ModernBERT: as many to the left as to the right
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
        size = next((whole_number(key) for key in keys if whole_number(key)), 0)
        if size and 0 < seen.num_tokens <= size:
            longest = {} if kind == "dynamic" else config
            what = f"rope scaling ({kind}) past {size:,} tokens"
            yield Gap(what, num_tokens=_beyond(size, longest))
            return


def _beyond(size: int, config: dict[str, Any]) -> int | None:
    """A sixteenth more than `size`, in round numbers; None where the model cannot take so many."""
    count = size * 17 // 16 + 8
    count = -(-count // 100) * 100 if count > 200 else count
    longest = whole_number(config.get("max_position_embeddings")) or count
    return min(count, longest) if longest > size else None


def _ropes(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`rope_scaling`, or `rope_parameters` of transformers 5, which may be one a kind of layer."""
    for key in ("rope_scaling", "rope_parameters"):
        rope = config.get(key)
        if isinstance(rope, dict):
            nested = [value for value in rope.values() if isinstance(value, dict)]
            yield from nested or [rope]
