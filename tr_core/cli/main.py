"""The command line: ``python -m tr_core COMMAND …``; each command is a module beside this one.

Results go to stdout, one line of error to stderr. Exit status 2 is bad input, 1 a failure. Under
torchrun each layer of the model is cut over the processes; the first one prints and writes files,
the others only compute.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from tr_core.cli import compare, compare_traces, diagnose, lists, run
from tr_core.cli.shared import LoadHtml
from tr_core.errors import ModelError, SettingsError, TokenRecyclingError
from tr_core.models import torchrun

BAD_INPUT, FAILURE = 2, 1


class _Command(NamedTuple):
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], None]
    summary: str


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    pass


COMMANDS = {
    "run": _Command(run.add_arguments, run.execute, "decode one prompt"),
    "compare": _Command(
        compare.add_arguments,
        compare.execute,
        "several drafters on the same prompts, against plain decoding",
    ),
    "diagnose": _Command(
        diagnose.add_arguments, diagnose.execute, "why so little of a recorded run was accepted"
    ),
    "compare-traces": _Command(
        compare_traces.add_arguments,
        compare_traces.execute,
        "two to four recorded runs of one prompt, side by side",
    ),
    "models": _Command(_no_arguments, lists.models, "bundled models and some known to work"),
    "drafters": _Command(_no_arguments, lists.drafters, "ways to make drafts"),
    "trees": _Command(_no_arguments, lists.trees, "named tree templates"),
}


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line; argparse would print its usage first."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str], load_html: LoadHtml | None = None) -> int:
    """Run one command and return its exit status.

    ``load_html`` returns the function that makes a web page of a run. ``__main__`` passes it in,
    because the engine imports no pictures.
    """
    try:
        args = _parser().parse_args(arguments, argparse.Namespace(load_html=load_html))
        with contextlib.ExitStack() as stack:
            if torchrun.rank():
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            args.execute(args)
        return 0
    except TokenRecyclingError as error:
        return _fail(error, BAD_INPUT)
    except OSError as error:
        return _fail(error, FAILURE)
    except KeyboardInterrupt:
        return _fail("interrupted", FAILURE)
    finally:
        torchrun.leave()


def _fail(error: object, status: int) -> int:
    # Bad input is bad in all processes, so one reports it; a model or a file may fail in any one.
    if not torchrun.rank() or isinstance(error, ModelError | OSError):
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
    return status


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m tr_core", description="Token Recycling: lossless speculative decoding."
    )
    commands = parser.add_subparsers(required=True, metavar=" | ".join(COMMANDS))
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.summary)
        command.add_arguments(own)
        own.add_argument(
            "--json", action="store_true", help="the last line of stdout is one JSON object"
        )
        own.set_defaults(execute=command.execute)
    return parser
