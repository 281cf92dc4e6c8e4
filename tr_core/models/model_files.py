"""From what a user typed to a complete folder with a model, before anything heavy is loaded.

    name ─ a folder? ──────────────────────┐
         └ a Hub id? ─ config ─ all files ─┴─ config.json ─ weights whole? ─ tokenizer there?

Each obstacle gets its own sentence here. transformers would report most of them late, as a wall of
text, or not at all (a missing tokenizer can become an empty one).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import errors as hub
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from tr_core.errors import ModelError, TokenRecyclingError, UnsupportedModelError
from tr_core.models.load_progress import ReportProgress, download_bars, no_progress

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
# Only files at the top of a repository: folders below hold other formats of the same weights.
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_UNWANTED = ("*/*", "consolidated*")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tekken.json",
)
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.gguf", "*.onnx")
_HUB_TIMEOUT_S = 10


def locate(
    model: str, *, allow_download: bool = True, progress: ReportProgress = no_progress
) -> Path:
    """The folder of a model: the one named, or the repository's copy in the local Hub cache.

    Args:
        model: a folder, or a Hub id such as ``HuggingFaceTB/SmolLM2-135M``.
        allow_download: whether to ask the Hub; if not, only what is on this computer counts.
        progress: called with the bytes of a download.

    Raises:
        ModelError: no such folder or repository, no permission, or no network.
        UnsupportedModelError: the repository's config is of a kind that ``read_config`` refuses.
    """
    model = model.strip()
    try:
        folder = Path(model).expanduser()
        if model and folder.is_dir():
            return folder
        is_file = folder.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"“{model[:80]}” is no folder and no Hub id.") from error
    if is_file:
        raise ModelError(f"“{model}” is a file: give the folder that holds the model.")
    if not _HUB_ID.fullmatch(model) or ".." in model:
        raise ModelError(
            f"There is no folder “{model[:200]}”: give a folder with a model, or a Hub id such as "
            "HuggingFaceTB/SmolLM2-135M."
        )
    # The config comes first, so that a model that cannot be used costs no download of its weights.
    folder = _snapshot(model, ("config.json",), allow_download, no_progress)
    read_config(folder, model)
    return _snapshot(model, _WANTED, allow_download, progress)


def read_config(folder: Path, name: str) -> PreTrainedConfig:
    """The model's config, of a class that this version of transformers brings itself.

    Raises:
        ModelError: there is no config.json, or it is broken.
        UnsupportedModelError: the model needs its own code, or is of an unknown kind.
    """
    path = folder / "config.json"
    if not path.is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"“{name}” holds an adapter, not a model: merge it into its base model first."
            )
        raise ModelError(f"“{name}” holds no model: there is no config.json in it.")
    content = _read_json(path, name)
    family = content.get("model_type")
    if not isinstance(family, str) or family not in CONFIG_MAPPING:
        kind = (
            f"the kind “{family}”"
            if isinstance(family, str)
            else "no kind (“model_type”) that is named"
        )
        if "auto_map" in content:
            raise UnsupportedModelError(
                f"“{name}” is of {kind} and brings its own code, which is never run here: choose a"
                " model that transformers knows by itself."
            )
        raise UnsupportedModelError(
            f"“{name}” is of {kind}, which this version of transformers does not know: choose"
            " another model, or update transformers."
        )
    # It defines where outputs end; transformers ignores a broken one.
    if (generation := folder / "generation_config.json").is_file():
        _read_json(generation, name)
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (
        Exception
    ) as error:  # transformers checks configs with errors of many kinds, and all mean the same here
        raise ModelError(
            f"The config.json of “{name}” cannot be used: {first_line(error)}."
        ) from error


def check_weights(folder: Path, name: str) -> list[Path]:
    """The weight files of a folder; one whose weights are not all there and whole is refused.

    Raises:
        ModelError: no safetensors files, one that the index names is missing, or one is cut short.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _read_json(index, name).get("weight_map")
        # A name with a folder in it could lead out of this one.
        if not isinstance(shards, dict) or not all(
            isinstance(s, str) and Path(s).name == s for s in shards.values()
        ):
            raise ModelError(
                f"“{index.name}” of “{name}” lists no weight files: download the model again."
            )
        files = sorted(set(shards.values()))
    else:
        files = ["model.safetensors"]
    missing = [file for file in files if not (folder / file).is_file()]
    if missing == ["model.safetensors"]:
        others = sorted(path.name for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
        if others:
            raise ModelError(
                f"“{name}” has its weights only as “{others[0]}”, a format that is not opened here,"
                " since it can hold code: convert them to safetensors."
            )
        raise ModelError(
            f"“{name}” has a config but no weights: there is no model.safetensors in it."
        )
    if missing:
        raise ModelError(
            f"“{name}” is incomplete: {len(missing)} of {len(files)} weight files are missing,"
            f" first “{missing[0]}”; download it again."
        )
    for file in files:
        try:
            with safe_open(folder / file, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"The weight file “{file}” of “{name}” is damaged or cut short: download it again."
            ) from error
    return [folder / file for file in files]


def check_tokenizer(folder: Path, name: str) -> None:
    """Refuse a folder without a tokenizer, for which transformers may make up an empty one.

    Raises:
        ModelError: there is no tokenizer file.
    """
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        raise ModelError(
            f"“{name}” has no tokenizer (such as tokenizer.json): put the tokenizer's files"
            " into it."
        )


def first_line(error: Exception) -> str:
    """The first line of an error's text, short enough for a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".: ")


def _snapshot(
    model: str, patterns: tuple[str, ...], allow_download: bool, progress: ReportProgress
) -> Path:
    """Fetch files of a Hub repository.

    ``snapshot_download`` falls back to the local copy when there is no network.
    """
    try:
        return Path(
            snapshot_download(
                model,
                allow_patterns=list(patterns),
                ignore_patterns=list(_UNWANTED),
                etag_timeout=_HUB_TIMEOUT_S,
                local_files_only=not allow_download,
                tqdm_class=download_bars(progress),
            )
        )
    except TokenRecyclingError:  # raised by the caller's progress function
        raise
    except hub.GatedRepoError as error:
        raise ModelError(
            f"“{model}” may only be used after its terms are accepted on huggingface.co: do so,"
            " then log in with “hf auth login”."
        ) from error
    except hub.RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no folder and no Hub model “{model}”, or it is private: check the name, or"
            " log in with “hf auth login”."
        ) from error
    except hub.HFValidationError as error:
        raise ModelError(
            f"“{model}” is no folder, and cannot be a Hub id: check the name."
        ) from error
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled) as error:
        how = "the Hub cannot be reached" if allow_download else "downloading is off"
        raise ModelError(
            f"There is no folder “{model}” and no downloaded copy of a Hub model of this name, and"
            f" {how}: check the name and the network."
        ) from error
    except Exception as error:  # a broken connection, a full disk, a garbled answer …
        raise ModelError(f"“{model}” could not be downloaded: {first_line(error)}.") from error


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"“{path.name}” of “{name}” is damaged or cut short: download the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"“{path.name}” of “{name}” is damaged: it holds no JSON object.")
    return content
