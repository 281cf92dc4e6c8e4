"""What ``load_target`` chooses and loads: device, dtype, attention, tokenizer, weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from tr_core.errors import ModelError, SettingsError, UnsupportedModelError
from tr_core.families import Family
from tr_core.model_files import first_line

# Attention that takes a mask of any shape. Flash attention takes none; flex attention crashes on a CPU.
_TAKES_MASKS = ("sdpa", "eager")
_DTYPES = ("float32", "bfloat16", "float16")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and reports off stderr, where a failure has one line."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def choose_device(name: str) -> torch.device:
    """The torch device that a user's word means; ``auto`` is the accelerator, or the CPU where there is none.

    Raises:
        ModelError: no such device in this computer, or none that torch can use.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"“{name}” is no device: use auto, cpu, or the name of an accelerator.") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if accelerator is None or device.type != accelerator.type:
        there = "auto or cpu" if accelerator is None else f"auto, cpu or {accelerator.type}"
        raise ModelError(f"There is no device “{name}” that torch can use on this computer: use {there}.")
    count = torch.accelerator.device_count()
    if device.index is not None and device.index >= count:
        raise ModelError(f"There is no device “{name}”: this computer has {count}, the first is {device.type}:0.")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype | str:
    """The dtype that a user's word means; ``auto`` elsewhere than on a CPU leaves it to the weights, ``fast`` too.

    ``fast`` on a CPU is float32 here, and measured against bfloat16 once the model is loaded: ``quicker``.

    Raises:
        SettingsError: it is no dtype that models run in.
    """
    if name in ("auto", "fast"):
        return torch.float32 if device.type == "cpu" else "auto"
    if name not in _DTYPES:
        raise SettingsError(f"“{name}” is no dtype for a model: use auto, fast, {', '.join(_DTYPES)}.")
    return getattr(torch, name)


def choose_attention(name: str, config: PreTrainedConfig, family: Family) -> str:
    """The attention implementation that a user's word means, if this family can run trees with it.

    Raises:
        ModelError: it takes no tree mask, or the family does not have it.
        UnsupportedModelError: the model is no causal language model.
    """
    try:
        has_sdpa = AutoModelForCausalLM._model_mapping[type(config)]._supports_sdpa
    except KeyError as error:
        raise UnsupportedModelError(
            f"Models of the family “{family.name}” do not write text: choose a causal language model."
        ) from error
    can_run = [a for a in family.attention if a != "sdpa" or has_sdpa]
    if name == "auto":
        return can_run[0]
    if name not in _TAKES_MASKS:
        raise ModelError(f"The attention “{name}” takes no tree mask: use auto or {' or '.join(can_run)}.")
    if name not in can_run:
        raise ModelError(f"Models of the family “{family.name}” have no exact “{name}” attention: use auto or eager.")
    return name


def load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder.

    Raises:
        ModelError: it does not load, or is empty.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # tokenizers fail in many ways, from Rust panics to missing packages
        raise ModelError(f"The tokenizer of “{name}” cannot be loaded: {first_line(error)}.") from error
    # transformers makes up a tokenizer of nothing but control tokens when it finds no vocabulary.
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):
        raise ModelError(f"The tokenizer of “{name}” has no vocabulary: put all of the tokenizer's files into it.")
    return tokenizer


def load_weights(
    folder: Path,
    name: str,
    config: PreTrainedConfig,
    *,
    dtype: torch.dtype | str,
    device: torch.device,
    attention: str,
) -> PreTrainedModel:
    """The model in a folder, on its device.

    Raises:
        ModelError: the weights do not fit the config or the device, or need a package that is not there.
    """
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        model = model.to(device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            f"“{name}” does not fit into the memory of {device}: use a smaller model or dtype, or another device."
        ) from error
    except Exception as error:  # weights that do not fit their config fail in many ways, and all mean the same here
        raise ModelError(f"“{name}” cannot be loaded: {first_line(error)}.") from error
    # transformers fills what is missing with random numbers and only warns.
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"The weights of “{name}” are incomplete: {len(missing)} tensors are missing, first “{missing[0]}”; "
            "download the model again."
        )
    return model
