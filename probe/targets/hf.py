"""hf: a transformers model from a folder or the hub, by the class that its config names."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from probe.errors import ProbeError
from probe.targets.foreign import message
from probe.targets.target import DTYPES, Loaded, LoadOptions, Target, to_device


def load_hf(target: Target, options: LoadOptions) -> Loaded:
    """Safetensors alone, and no code from the folder unless `trust_remote_code`."""
    try:
        import transformers
    except ImportError:
        raise ProbeError("an hf: target needs transformers", hint="pip install transformers") from None
    _check_folder(target.place)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    keywords: dict[str, object] = {
        "trust_remote_code": options.trust_remote_code,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # told below, in words
    }
    if options.attention:
        keywords["attn_implementation"] = options.attention
    # "torch_dtype" is deprecated since transformers 4.56, and "dtype" unknown before it.
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    dtype_keyword = "dtype" if (major, minor) >= (4, 56) else "torch_dtype"
    keywords[dtype_keyword] = DTYPES[options.dtype] if options.dtype else "auto"
    try:
        config = transformers.AutoConfig.from_pretrained(target.place, trust_remote_code=options.trust_remote_code)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # what the checkpoint lacks is random, and so the same when it is loaded again
            model, remarks = _model_class(transformers, config).from_pretrained(target.place, **keywords)
    except Exception as error:  # transformers, safetensors and huggingface_hub raise whatever they like
        needed = "it must be a folder with config.json and the model.safetensors that fits it, or a hub id within reach"
        hint = "if you trust that code: --trust-remote-code" if "trust_remote_code" in str(error) else needed
        raise ProbeError(f"transformers cannot load {target.place}: {message(error)}", hint=hint) from error
    for name, stored, wanted in sorted(remarks["mismatched_keys"]):
        raise ProbeError(
            f"{target.place}: {name} is {tuple(stored)} in the checkpoint and {tuple(wanted)} in its config.json",
            hint="the two do not belong together",
        )
    model = to_device(model.eval(), LoadOptions(device=options.device))
    encode_prompts = partial(encode, target.place, trust_remote_code=options.trust_remote_code)
    return Loaded(model, None, encode_prompts, _notes(remarks))


def encode(
    folder: str, prompts: Sequence[str], pad_left: bool = False, *, trust_remote_code: bool
) -> dict[str, list[list[int]]]:
    """Token ids, attention mask and token types of a padded batch, by the folder's own tokenizer."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if len(prompts) > 1 and tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if pad_left:
            tokenizer.padding_side = "left"
        return dict(tokenizer(list(prompts), padding=len(prompts) > 1))
    except Exception as error:  # as above
        raise ProbeError(
            f"{folder} has no tokenizer that transformers can use: {message(error)}",
            hint="use --tokens 1,2,3 instead of --prompt",
        ) from error


def _check_folder(place: str) -> None:
    """A folder that is not there would be asked for at the hub, whose answer tells nobody what is wrong."""
    folder = Path(place)
    is_hub_id = place.count("/") <= 1 and not place.startswith((".", "/"))
    if not folder.exists() and not is_hub_id:
        raise ProbeError(f"{place}: no such folder", hint="give the folder that save_pretrained wrote, or a hub id")
    if folder.exists() and not (folder / "config.json").is_file():
        raise ProbeError(f"{place} has no config.json", hint="give the folder that save_pretrained wrote")


def _model_class(transformers: Any, config: Any) -> Any:
    """What the config names, if it is a model; else what transformers takes for one of its kind."""
    name = str((getattr(config, "architectures", None) or [""])[0])
    known = getattr(transformers, name, None)
    if isinstance(known, type) and issubclass(known, transformers.PreTrainedModel):
        return known
    return transformers.AutoModelForCausalLM if name.endswith("ForCausalLM") else transformers.AutoModel


def _notes(remarks: dict[str, Any]) -> tuple[str, ...]:
    """Weights that never reached the model, or never came."""
    notes = []
    for kind, what in (
        ("missing_keys", "are not in the checkpoint and hold random values"),
        ("unexpected_keys", "of the checkpoint have no place in the model"),
    ):
        names = sorted(remarks[kind])
        if names:
            notes.append(f"{len(names)} weights {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}")
    return tuple(notes)
