"""What several commands share: their arguments, the model they load, and their output. No torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tr_core.errors import SettingsError
from tr_core.models import catalog, torchrun
from tr_core.settings import Settings
from tr_core.trace import RunTrace

if TYPE_CHECKING:
    from tr_core.models.hf_target import HFTarget

ToHtml = Callable[[RunTrace | Sequence[RunTrace]], str]
LoadHtml = Callable[[], ToHtml]

# ``--trace`` names a file; whether a trace is recorded is each command's own business.
_FLAGS = [f for f in fields(Settings) if f.name != "trace"]


def add_model(parser: argparse.ArgumentParser) -> None:
    """Arguments that choose a model and how it runs; ``load_target`` reads them."""
    add = parser.add_argument
    add("--model", required=True, help="a bundled name, a local folder, or a Hub id")
    add("--dtype", default="auto", help="auto, fast (measured), float32, bfloat16 or float16")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--attention", default="auto", help="auto, sdpa or eager")
    add(
        "--device-map",
        metavar="HOW",
        help="split the layers: auto, balanced, sequential, or a JSON file (docs/scaling.md)",
    )
    add("--chat", action="store_true", help="wrap the prompt in the tokenizer's chat template")


def add_settings(parser: argparse.ArgumentParser, *, without: Sequence[str] = ()) -> None:
    """One flag for each field of ``Settings``; ``read_settings`` reads them."""
    for setting in _FLAGS:
        if setting.name not in without:
            _add_setting(parser, setting)


def read_settings(args: argparse.Namespace, **more: Any) -> Settings:
    """The settings that the flags give; ``more`` are those without a flag.

    Raises:
        SettingsError: a value is out of range, or two exclude each other.
    """
    given = {f.name: getattr(args, f.name) for f in _FLAGS if f.name in args}
    return Settings(**{**given, "stop": tuple(args.stop), **more})


def load_target(args: argparse.Namespace) -> HFTarget:
    """Load the model that the arguments name.

    Importing torch and transformers takes seconds, so commands check all else before.

    Raises:
        TokenRecyclingError: it cannot be loaded as asked.
    """
    from transformers.utils import logging

    from tr_core.models.load_progress import line_on, no_progress
    from tr_core.models.loading import load_target

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return load_target(
        catalog.source(args.model),
        dtype=args.dtype,
        device=args.device,
        attention=args.attention,
        device_map=_device_map(args.device_map),
        tensor_parallel=torchrun.is_parallel(),
        progress=(
            line_on(sys.stderr) if sys.stderr.isatty() and not torchrun.rank() else no_progress
        ),
    )


def load_html(args: argparse.Namespace) -> ToHtml | None:
    """The function that makes a web page of a run, if ``--html`` was given.

    Raises:
        SettingsError: the caller of ``main`` passed no such function.
    """
    if args.html is None:
        return None
    if args.load_html is None:
        raise SettingsError("--html works from the command line only: python -m tr_core run …")
    return args.load_html()


def check_writable(*paths: str | None) -> None:
    """Refuse a file whose folder does not exist before minutes of decoding, not after.

    Raises:
        SettingsError: a path is a folder, or its folder does not exist.
    """
    for path in paths:
        if path is not None and (Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
            raise SettingsError(
                f"“{path}” cannot be written: it is a folder, or its folder does not exist."
            )


def show(args: argparse.Namespace, result: dict[str, Any], text: str) -> None:
    """Write a result to stdout: with ``--json`` as one JSON object on one line, else as text."""
    sys.stdout.write((json.dumps(result) if args.json else text) + "\n")
    sys.stdout.flush()


def _add_setting(parser: argparse.ArgumentParser, setting: Field[Any]) -> None:
    flag, text = setting.name.replace("_", "-"), setting.metadata["help"]
    default = setting.default
    if default is True:
        parser.add_argument(
            f"--no-{flag}", dest=setting.name, action="store_false", help=f"do not {text}"
        )
    elif default is False:
        parser.add_argument(f"--{flag}", action="store_true", help=text)
    elif default == ():
        parser.add_argument(f"--{flag}", action="append", default=[], metavar="TEXT", help=text)
    else:
        parser.add_argument(
            f"--{flag}",
            type=type(default),
            default=default,
            choices=setting.metadata["choices"],
            help=text,
        )


def _device_map(how: str | None) -> str | dict[str, Any] | None:
    """The word as it is, or the content of a JSON file."""
    if how is None or not how.endswith(".json"):
        return how
    try:
        return json.loads(Path(how).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"The device map “{how}” is no readable JSON file: {' '.join(str(error).split())}."
        ) from error
