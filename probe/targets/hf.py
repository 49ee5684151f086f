"""hf: a transformers model from a folder or the hub, by the class that its config names."""

import json
from pathlib import Path

from probe.errors import ProbeError
from probe.targets.target import DTYPES, Loaded, LoadOptions, Target, to_device


def load_hf(target: Target, options: LoadOptions) -> Loaded:
    """Safetensors alone, and no code from the folder unless `trust_remote_code`."""
    try:
        import transformers
    except ImportError:
        raise ProbeError("an hf: target needs transformers", hint="pip install transformers") from None
    folder = Path(target.place)
    if folder.exists() and not (folder / "config.json").is_file():
        raise ProbeError(f"{folder} has no config.json", hint="give the folder that save_pretrained wrote")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    keywords: dict[str, object] = {"trust_remote_code": options.trust_remote_code, "use_safetensors": True}
    if options.attention:
        keywords["attn_implementation"] = options.attention
    # "torch_dtype" is deprecated since transformers 4.56, and "dtype" unknown before it.
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    dtype_keyword = "dtype" if (major, minor) >= (4, 56) else "torch_dtype"
    keywords[dtype_keyword] = DTYPES[options.dtype] if options.dtype else "auto"
    try:
        config = transformers.AutoConfig.from_pretrained(target.place, trust_remote_code=options.trust_remote_code)
        name = (getattr(config, "architectures", None) or [""])[0]
        known = getattr(transformers, name, None) if name else None
        if known is None:
            known = transformers.AutoModelForCausalLM if name.endswith("ForCausalLM") else transformers.AutoModel
        model = known.from_pretrained(target.place, **keywords)
    except (OSError, ValueError, KeyError, ImportError, json.JSONDecodeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProbeError(
            f"transformers cannot load {target.place}: {reason}",
            hint="it must be a folder with config.json and model.safetensors, or a hub id that this machine can reach",
        ) from None
    device_only = LoadOptions(device=options.device)
    return Loaded(to_device(model.eval(), device_only), None, target.place)


def encode(folder: str, prompts: list[str]) -> dict[str, list[list[int]]]:
    """Token ids, attention mask and token types of a padded batch, by the folder's own tokenizer."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProbeError(
            f"{folder} has no tokenizer that transformers can load: {reason}",
            hint="use --tokens 1,2,3 instead of --prompt",
        ) from None
    if len(prompts) > 1 and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return dict(tokenizer(prompts, padding=len(prompts) > 1))
