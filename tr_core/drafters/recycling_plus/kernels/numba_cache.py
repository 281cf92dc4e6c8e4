"""Compiling of loops over small numbers, by numba; what was compiled stays on disk for the next
start.

numba notices a change of a function's own file, not of the files of the functions that it calls. So
all of this package has one folder, named by the contents of all files and the version of numba.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numba
from huggingface_hub import cached_assets_path
from numba.extending import register_jitable

_HERE = Path(__file__).resolve().parent
# Files that compiled code takes constants from.
_CONSTANTS = (
    _HERE.parents[2] / "budget" / "grown_tree_budget.py",
    _HERE.parents[2] / "trees" / "tree.py",
)


def _folder() -> Path | None:
    """Where compiled code is kept; None if nothing can be written, and each start compiles anew."""
    told = hashlib.sha256(numba.__version__.encode())
    for file in (*sorted(_HERE.glob("*.py")), *_CONSTANTS):
        told.update(file.read_bytes())
    name = f"recycling-plus-{told.hexdigest()[:16]}"
    for base in (_beside, lambda: cached_assets_path("token-recycling")):
        try:
            mine = base() / name
            mine.mkdir(parents=True, exist_ok=True)
            (mine / "last used").touch()
        except (OSError, ValueError):
            continue
        for other in set(mine.parent.glob("recycling-plus-*")) - {mine}:
            shutil.rmtree(other, ignore_errors=True)  # of earlier versions of these files
        return mine
    return None


def _beside() -> Path:
    return Path(numba.config.CACHE_DIR or _HERE / "__pycache__")


_FOLDER = _folder()


def kept() -> bool:
    """Whether all loops stand compiled on disk, by some process and these very files."""
    return _FOLDER is not None and (_FOLDER / "whole").exists()


def keep() -> None:
    """All loops have been compiled."""
    if _FOLDER is not None:
        (_FOLDER / "whole").touch()


# Arrays belong to the caller as long as a loop runs, so nobody counts references to them: counting
# took four fifths of the time. Divisors are never 0.
_OPTIONS = {"_nrt": False, "error_model": "numpy", "no_cfunc_wrapper": True}


def inner(function: Callable) -> Callable:
    """``function``, compiled into those that call it; called from Python it runs as it is written."""
    return register_jitable(no_cpython_wrapper=True, **_OPTIONS)(function)


def compiled(function: Callable) -> Callable:
    """``function``, compiled when it is first called with arguments of some types. It must not make
    arrays.
    """
    if _FOLDER is None:
        return numba.njit(**_OPTIONS)(function)
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER)  # is read here, and nowhere later
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before
