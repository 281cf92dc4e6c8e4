"""What host drafters know, in files: arrays as safetensors, with format and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tr_core.errors import CheckpointError, MatrixError
from tr_core.files import whole


def save(path: str | Path, form: str, fingerprint: str, parts: Mapping[str, np.ndarray]) -> None:
    """Write arrays.

    Args:
        form: name of the drafter's format, with its version.
        fingerprint: of the tokenizer that the ids belong to.

    Raises:
        MatrixError: the file cannot be written.
    """
    meta = {"format": form, "tokenizer": fingerprint}
    try:
        with whole(path) as beside:
            save_file(
                {name: np.ascontiguousarray(part) for name, part in parts.items()},
                str(beside),
                metadata=meta,
            )
    except (OSError, SafetensorError) as error:
        raise MatrixError(
            f"What the drafter knows cannot be written to “{path}”:"
            f" {getattr(error, 'strerror', None) or error}."
        ) from error


def load(
    path: str | Path, form: str, fingerprint: str, expected: Mapping[str, tuple[type, int]]
) -> dict[str, np.ndarray]:
    """Read what ``save`` wrote.

    Args:
        expected: type and number of dimensions of each array.

    Raises:
        MatrixError: no such file, another format, another tokenizer, or other arrays.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            meta = file.metadata() or {}
            # Arrays of types that numpy lacks cannot even be read.
            parts = (
                {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
                if meta.get("format") == form
                else {}
            )
    except (OSError, SafetensorError, TypeError, AttributeError) as error:
        raise MatrixError(f"“{path}” is not a readable matrix file: {error}.") from error
    if meta.get("format") != form:
        theirs, ours = json.dumps(meta.get("format")), json.dumps(form)
        raise MatrixError(f"“{path}” was not saved by this drafter: it holds {theirs}, not {ours}.")
    if meta.get("tokenizer") != fingerprint:
        raise MatrixError(
            f"The matrix in “{path}” belongs to another tokenizer ({meta.get('tokenizer')}; this"
            f" model has {fingerprint}): start cold, or choose the model it was saved with."
        )
    check(path, parts.keys() == expected.keys())
    check(
        path,
        all(
            parts[name].dtype == kind and parts[name].ndim == n
            for name, (kind, n) in expected.items()
        ),
    )
    return parts


def check(path: str | Path, sound: bool) -> None:
    """Refuse a file whose parts do not fit each other.

    Raises:
        MatrixError: they do not.
    """
    if not sound:
        raise MatrixError(
            f"The matrix in “{path}” is damaged: its parts do not fit each other or this model."
        )


def array(values: Sequence[object], kind: type, width: int | None = None) -> np.ndarray:
    """Numbers of a checkpoint as an array, (n,) or (n, width).

    Raises:
        CheckpointError: they are no such numbers.
    """
    shape = (len(values),) if width is None else (len(values), width)
    try:
        with np.errstate(over="ignore"):  # infinity is out of any range that is checked later
            return np.array(values, dtype=np.dtype(kind)).reshape(shape)
    except (ValueError, OverflowError, TypeError) as error:
        raise CheckpointError(
            "The drafter's part of the checkpoint is damaged: its numbers do not fit."
        ) from error
