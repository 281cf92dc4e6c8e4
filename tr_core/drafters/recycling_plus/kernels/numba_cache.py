"""Compiles loops over small numbers with numba, and keeps the compiled code for the next start.

numba notices a change of a function's own file, but not of the files of the functions it calls. So
this package has one cache folder, named by the contents of all its files and numba's version.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from huggingface_hub import cached_assets_path
from numba.extending import register_jitable

# An integer of a loop: a number of Python's where the function runs uncompiled.
Int: TypeAlias = "int | np.int64"
_Function = TypeVar("_Function", bound=Callable[..., Any])

_HERE = Path(__file__).resolve().parent
# Files that compiled code takes constants from.
_CONSTANTS = (
    _HERE.parents[2] / "budget" / "grown_tree_budget.py",
    _HERE.parents[2] / "trees" / "tree.py",
)
_config: Any = numba.config  # numba sets its attributes at run time


def _folder() -> Path | None:
    """Where compiled code is kept; None if no folder is writable, and each start compiles again."""
    digest = hashlib.sha256(numba.__version__.encode())
    for file in (*sorted(_HERE.glob("*.py")), *_CONSTANTS):
        digest.update(file.read_bytes())
    name = f"recycling-plus-{digest.hexdigest()[:16]}"
    for base in (_beside, lambda: cached_assets_path("token-recycling")):
        try:
            folder = base() / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "last used").touch()
        except (OSError, ValueError):
            continue
        for other in set(folder.parent.glob("recycling-plus-*")) - {folder}:
            shutil.rmtree(other, ignore_errors=True)  # of earlier versions of these files
        return folder
    return None


def _beside() -> Path:
    return Path(_config.CACHE_DIR or _HERE / "__pycache__")


_FOLDER = _folder()


def is_complete() -> bool:
    """Whether the cache on disk holds all loops, compiled from these very files."""
    return _FOLDER is not None and (_FOLDER / "whole").exists()


def mark_complete() -> None:
    """Note that all loops have been compiled."""
    if _FOLDER is not None:
        (_FOLDER / "whole").touch()


# The caller owns the arrays while a loop runs, so loops don't count references: counting took four
# fifths of the time. A loop must not make arrays. Divisors are never 0.
_OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}


def inner(function: _Function) -> _Function:
    """``function``, compiled into its compiled callers; Python runs it as it is written."""
    return register_jitable(no_cpython_wrapper=True, **_OPTIONS)(function)


def compiled(function: _Function) -> _Function:
    """``function``, compiled at its first call for each combination of argument types."""
    if _FOLDER is None:
        return numba.njit(**_OPTIONS)(function)
    before = _config.CACHE_DIR
    _config.CACHE_DIR = str(_FOLDER)  # numba reads it here, and never again
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    finally:
        _config.CACHE_DIR = before
