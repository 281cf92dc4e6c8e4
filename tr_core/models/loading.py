"""How a model is loaded: ``load_target``, and what it chooses: device, dtype, attention."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tr_core.attention.families import Family, family_of, max_length_of, reach_of, window_of
from tr_core.attention.masks import MaskMaker
from tr_core.decoding.measure_cost import CostBook
from tr_core.errors import (
    MemoryShortError,
    ModelError,
    SettingsError,
    TokenRecyclingError,
    UnsupportedModelError,
)
from tr_core.models import model_files
from tr_core.models.distributed import (
    DeviceMap,
    ProcessGroup,
    check_plan,
    check_split,
    describe_devices,
    entry_device,
    is_split,
    loading_options,
)
from tr_core.models.exactness_probe import probe
from tr_core.models.hf_target import HFTarget, Loaded
from tr_core.models.load_progress import (
    ReportProgress,
    no_progress,
    report_weights,
    silence_libraries,
    tensor_sizes,
)
from tr_core.models.model_files import first_line
from tr_core.models.packed_weights import packed
from tr_core.models.pick_dtype import faster
from tr_core.models.vocabulary import TokenizerVocabulary

# Attention that takes a mask of any shape. Flash attention takes none; flex attention crashes on a
# CPU.
_TAKES_MASKS = ("sdpa", "eager")
_DTYPES = ("float32", "bfloat16", "float16")


def choose_device(name: str) -> torch.device:
    """The torch device of that name; ``auto`` is the accelerator, or the CPU without one.

    Raises:
        ModelError: no such device in this computer, or none that torch can use.
    """
    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"“{name}” is no device: use auto, cpu, or the name of an accelerator."
        ) from error
    if device.type == "cpu":
        return torch.device("cpu")
    if accelerator is None or device.type != accelerator.type:
        there = "auto or cpu" if accelerator is None else f"auto, cpu or {accelerator.type}"
        raise ModelError(
            f"There is no device “{name}” that torch can use on this computer: use {there}."
        )
    count = torch.accelerator.device_count()
    if device.index is not None and device.index >= count:
        raise ModelError(
            f"There is no device “{name}”: this computer has {count}, the first is {device.type}:0."
        )
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype | str:
    """The dtype of that name; ``auto`` and ``fast`` are float32 on a CPU, else the weights' own.

    On a CPU ``fast`` is then measured against bfloat16, once the model is loaded:
    ``pick_dtype.faster``.

    Raises:
        SettingsError: it is no dtype that models run in.
    """
    if name in ("auto", "fast"):
        return torch.float32 if device.type == "cpu" else "auto"
    if name not in _DTYPES:
        raise SettingsError(
            f"“{name}” is no dtype for a model: use auto, fast, {', '.join(_DTYPES)}."
        )
    return getattr(torch, name)


def choose_attention(name: str, config: PreTrainedConfig, family: Family) -> str:
    """The attention implementation of that name, if this family can run trees with it.

    Raises:
        ModelError: it takes no tree mask, or the family does not have it.
        UnsupportedModelError: the model is no causal language model.
    """
    try:
        model_class: Any = AutoModelForCausalLM._model_mapping[type(config)]
        has_sdpa = model_class._supports_sdpa
    except KeyError as error:
        raise UnsupportedModelError(
            f"Models of the family “{family.name}” do not write text: choose a causal language"
            " model."
        ) from error
    can_run = [a for a in family.attention if a != "sdpa" or has_sdpa]
    if name == "auto":
        return can_run[0]
    if name not in _TAKES_MASKS:
        raise ModelError(
            f"The attention “{name}” takes no tree mask: use auto or {' or '.join(can_run)}."
        )
    if name not in can_run:
        raise ModelError(
            f"Models of the family “{family.name}” have no exact “{name}” attention: use auto or"
            " eager."
        )
    return name


def load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder.

    Raises:
        ModelError: it does not load, or is empty.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # tokenizers fail in many ways, from Rust panics to missing packages
        raise ModelError(
            f"The tokenizer of “{name}” cannot be loaded: {first_line(error)}."
        ) from error
    # transformers makes up a tokenizer of nothing but control tokens when it finds no vocabulary.
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):
        raise ModelError(
            f"The tokenizer of “{name}” has no vocabulary: put all of the tokenizer's files"
            " into it."
        )
    return tokenizer


def load_weights(
    folder: Path,
    name: str,
    config: PreTrainedConfig,
    *,
    dtype: torch.dtype | str,
    device: torch.device | None,
    attention: str,
    **split: Any,
) -> PreTrainedModel:
    """The model in a folder, on its device, or split as ``distributed.loading_options`` says.

    Raises:
        ModelError: the weights do not fit the config or the device, or need a package that is not
            there.
    """
    from_pretrained: Any = AutoModelForCausalLM.from_pretrained  # returns a report too
    try:
        model, report = from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **split,
        )
        if not split:
            model = model.to(device)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MemoryShortError(
            f"“{name}” does not fit into the memory of {device}: use a smaller model or dtype,"
            " another device, or several (docs/scaling.md)."
        ) from error
    except TokenRecyclingError:  # raised by the caller's progress function
        raise
    except Exception as error:  # weights that do not fit their config fail in many ways
        raise ModelError(f"“{name}” cannot be loaded: {first_line(error)}.") from error
    # transformers fills what is missing with random numbers and only warns.
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"The weights of “{name}” are incomplete: {len(missing)} tensors are missing, first"
            f" “{missing[0]}”; download the model again."
        )
    return model


def load_target(
    model: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    attention: str = "auto",
    allow_download: bool = True,
    device_map: DeviceMap | None = None,
    tensor_parallel: bool = False,
    progress: ReportProgress = no_progress,
) -> HFTarget:
    """Load a model from a folder or the Hub: safetensors only, never code from the model.

    Args:
        model: a folder, or a Hub id such as ``HuggingFaceTB/SmolLM2-135M``.
        dtype: auto, fast, float32, bfloat16 or float16; auto is float32 on a CPU, where output is
            exact, elsewhere what the weights are stored in. fast is bfloat16 on a CPU that is
            clearly faster with it, which is measured with both loaded at the same time; else as
            auto.
        device: auto, or a torch device such as ``cpu``; auto is the accelerator where there is one.
        attention: auto, sdpa or eager; auto is the quicker one that the family can do.
        allow_download: whether the Hub may be asked.
        device_map: split the model by layers, as accelerate does: auto, balanced, sequential, or
            {module: device}.
        tensor_parallel: split each layer over the processes that torchrun started; all of them must
            load the model and decode the same.
        progress: called with the bytes downloaded, then those read; what it raises
            ends the loading.

    Raises:
        SettingsError: the dtype is none of these, or the split goes with another setting.
        ModelError: the model, the device or the attention is not there, or the model does not load;
            its text names the obstacle and what to do.
        UnsupportedModelError: trees would not equal plain decoding on this model.
    """
    check_split(device_map, tensor_parallel, device, dtype)
    torch_device = choose_device(device)
    torch_dtype = choose_dtype(dtype, torch_device)
    with silence_libraries():
        folder = model_files.locate(model, allow_download=allow_download, progress=progress)
        config = model_files.read_config(folder, model)
        if tensor_parallel:
            check_plan(config)
        implementation = choose_attention(attention, config, family_of(config))
        sizes = tensor_sizes(model_files.check_weights(folder, model))
        model_files.check_tokenizer(folder, model)
        tokenizer = load_tokenizer(folder, model)

        def weights_in(weights_dtype: torch.dtype | str) -> PreTrainedModel:
            split = loading_options(device_map, tensor_parallel)
            with report_weights(progress, sizes):
                return load_weights(
                    folder,
                    model,
                    config,
                    dtype=weights_dtype,
                    device=torch_device,
                    attention=implementation,
                    **split,
                )

        weights = weights_in(torch_dtype)
        if dtype == "fast" and torch_device.type == "cpu":
            weights = faster(weights.eval(), weights_in(torch.bfloat16).eval())
        return wrap(weights, tokenizer, model)


def wrap(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> HFTarget:
    """Make a target of a loaded model, which is set to inference without generation defaults.

    On a CPU the passes use packed copies of its linear weights (``packed_weights``): they do not
    see weights changed later.

    Raises:
        UnsupportedModelError: the family is refused, or it is not listed and fails the probe.
        ModelError: the model's attention implementation takes no tree mask.
    """
    ends = _end_ids(model.generation_config, model.config, tokenizer)
    model.eval().requires_grad_(False)
    model.generation_config = GenerationConfig()
    limit = max_length_of(model.config)
    return build_target(
        model,
        examine(model),
        tokenizer,
        runner=packed(model),
        name=name,
        ends=ends,
        max_length=limit,
    )


@dataclass(frozen=True)
class Examination:
    """What a target must know of a model; true as long as the model runs as it does now.

    Attributes:
        family: of the model.
        vocab_size: width of the logits. device: where they are.
        setup: how the model ran: dtype, attention, and where its first weights were.
        slices_logits: whether it can leave logits out.
        costs: what its steps cost.
    """

    family: Family
    vocab_size: int
    device: torch.device
    setup: tuple[Any, ...]
    slices_logits: bool
    costs: CostBook

    def fits(self, model: PreTrainedModel) -> bool:
        return self.setup == _setup(model)


def examine(model: PreTrainedModel) -> Examination:
    """Check that trees are exact on a model, and measure what a target must know of it.

    The model is not changed.

    Raises:
        UnsupportedModelError: the family is refused, or it is not listed and fails the probe.
        ModelError: the model's attention implementation takes no tree mask.
    """
    family, attention = family_of(model.config), model.config._attn_implementation
    if attention not in family.attention:
        raise ModelError(
            f"The attention “{attention}” of this model is not exact with a tree mask: load the"
            f" model with attn_implementation=“{family.attention[0]}”."
        )
    with torch.inference_mode():
        one = torch.zeros(1, 1, dtype=torch.int64, device=entry_device(model))
        logits = model(input_ids=one, attention_mask=torch.ones_like(one), use_cache=False).logits
    slices = "logits_to_keep" in inspect.signature(model.forward).parameters
    examination = Examination(
        family, logits.shape[-1], logits.device, _setup(model), slices, CostBook()
    )
    if not family.listed:
        probe(build_target(model, examination), model)
    return examination


def build_target(
    model: PreTrainedModel,
    examination: Examination,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    runner: PreTrainedModel | None = None,
    name: str = "",
    ends: Iterable[int] = (),
    max_length: int | None = None,
) -> HFTarget:
    """Make a target of an examined model, which stays as it is.

    ``runner``: what makes the passes; the model by default. ``max_length``: as far as positions
    reach, by default.
    """
    config, family = model.config, examination.family
    rows: Any = model.get_input_embeddings().weight
    size = min(rows.shape[0], examination.vocab_size)
    vocabulary = None if tokenizer is None else TokenizerVocabulary(tokenizer, size)
    processes = ProcessGroup.of(model)
    return HFTarget(
        Loaded(
            model=model,
            runner=runner or model,
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            family=family,
            name=name or config.name_or_path or family.name,
            vocab_size=examination.vocab_size,
            max_length=reach_of(config, family) if max_length is None else max_length,
            eos_ids=frozenset(token for token in ends if 0 <= token < examination.vocab_size),
            masks=MaskMaker(family, window_of(config, family), model.dtype, examination.device),
            device=examination.device,
            slices_logits=examination.slices_logits,
            costs=examination.costs,
            processes=processes,
            devices=describe_devices(model, examination.device, processes),
            whole=processes.size == 1 and not is_split(model),
        )
    )


def _setup(model: PreTrainedModel) -> tuple[Any, ...]:
    return model.dtype, model.config._attn_implementation, entry_device(model)


def _end_ids(*owners: Any) -> set[int]:
    """All ``eos_token_id`` of a generation config, a config and a tokenizer.

    Each has None, one or a list.
    """
    ids = [getattr(owner, "eos_token_id", None) for owner in owners]
    return {
        token
        for end in ids
        if end is not None
        for token in (end if isinstance(end, list) else [end])
    }
