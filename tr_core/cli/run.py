"""``run``: decode one prompt and save the requested files. Imports torch only to decode."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tr_core import files
from tr_core.analysis import metrics
from tr_core.cli import prompts, shared
from tr_core.errors import SettingsError, TokenRecyclingError
from tr_core.models import torchrun

if TYPE_CHECKING:
    from tr_core.target import Vocabulary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", help="the prompt's text")
    prompt.add_argument("--prompt-file", metavar="F", help="a UTF-8 text file with the prompt")
    shared.add_model(parser)
    shared.add_settings(parser)
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--cold", action="store_true", help="start with an empty matrix (default)")
    start.add_argument("--matrix-in", metavar="F", help="start with a saved matrix")
    add = parser.add_argument
    add("--matrix-out", metavar="F", help="save the matrix at the end (safetensors)")
    add("--trace", metavar="F", help="save the run's trace (JSON)")
    add("--html", metavar="F", help="save the run as one web page that works offline")
    add("--check", action="store_true", help="compare with transformers' own generate at the end")


def execute(args: argparse.Namespace) -> None:
    """Decode, show the result, then write the files.

    Raises:
        TokenRecyclingError: the prompt, the settings or a file do not fit the model.
        CannotWriteError: a file cannot be written; the first of several.
    """
    text = prompts.read_text(args.prompt_file) if args.prompt is None else args.prompt
    settings = shared.read_settings(args)
    shared.check_writable(args.trace, args.html, args.matrix_out)
    to_html = shared.load_html(args)
    target = shared.load_target(args)

    from tr_core.decoding.recording import Recording
    from tr_core.decoding.session import Session
    from tr_core.drafters import registry

    drafter = registry.load(settings.drafter, args.matrix_in, target) if args.matrix_in else None
    if args.matrix_out and not registry.entry(settings.drafter).saves:
        raise SettingsError(
            f"The drafter {settings.drafter} has no matrix to save: omit --matrix-out."
        )
    prompt_ids = target.vocabulary.encode(text, chat_template=args.chat)
    session = Session(target, settings, drafter=drafter).start(prompt_ids)
    recording = Recording(session)
    stream = TextStream(target.vocabulary)
    began = time.perf_counter()
    for step in session.run():
        recording.add(step)
        if not args.json:
            sys.stdout.write(stream.add(step.emitted))
            sys.stdout.flush()
    seconds = time.perf_counter() - began
    result: dict[str, Any] = {
        "output_ids": session.output_ids,
        "text": target.vocabulary.decode(session.output_ids),
        "prompt_tokens": len(session.prompt_ids),
        "new_tokens": len(session.output_ids),
        "steps": session.steps,
        "passes": session.passes,
        "mean_accepted_tokens": round(metrics.mean_accepted_tokens(recording.steps), 4),
        "tokens_per_second": round(len(session.output_ids) / seconds, 2),
        "stop_reason": session.stop_reason,
        "drafter": settings.drafter,
        "tree": recording.info.tree,
        "model": args.model,
        "dtype": recording.info.dtype,
        "device": recording.info.device,
    }
    if args.check:
        result["identical"] = target.plain_ids(session.prompt_ids, settings) == session.output_ids
    shared.show(args, result, _summary(result))
    if torchrun.rank():
        return  # the first process writes the files
    trace = recording.trace(reference_identical=result.get("identical"))
    failures: list[Exception] = []
    if args.matrix_out:
        with _postponed(failures):
            session.drafter.save(args.matrix_out, target.vocabulary.fingerprint)
    if args.trace:
        with _postponed(failures):
            files.write_text(args.trace, trace.to_json())
    if to_html is not None:
        with _postponed(failures):
            files.write_text(args.html, to_html(trace))
    if failures:
        raise failures[0]


@contextmanager
def _postponed(failures: list[Exception]) -> Iterator[None]:
    """Collect the failure of one file, so that the next one is still tried."""
    try:
        yield
    except (TokenRecyclingError, files.CannotWriteError) as error:
        failures.append(error)


def _summary(result: dict[str, Any]) -> str:
    identical = result.get("identical")
    return (
        f"\n{result['new_tokens']} tokens in {result['passes']} passes:"
        f" {result['mean_accepted_tokens']:.2f} a pass, {result['tokens_per_second']:.1f}"
        f" tokens/s, {result['stop_reason']}"
        + ("" if identical is None else f", equal to plain decoding: {identical}")
    )


class TextStream:
    """Decodes ids that arrive a few at a time; the pieces joined are the whole text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._ids: list[int] = []
        self._shown = ""

    def add(self, ids: Sequence[int]) -> str:
        """The text that ``ids`` complete; a character whose bytes are not all there yet waits."""
        self._ids += ids
        text = self._vocabulary.decode(self._ids)
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new, self._shown = text[len(self._shown) :], text
        return new
