"""What the browser says of its runs, so that a server without them can resume or save them.

The browser keeps all that it was told of a run, and the checkpoints it is given, unread. It first
only names a run; if the server does not have it, it says so, and the browser asks again and hands
over what it has kept. No gradio here.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from tr_core.decoding.checkpoint import MAX_BYTES
from tr_core.trace import MAX_FILE_BYTES

MOST_RUNS = 4
_Name = Annotated[str, msgspec.Meta(pattern="^[0-9a-z-]{1,40}$")]
_Number = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$")]
_NOTHING = msgspec.Raw()


class BrowserState(msgspec.Struct, frozen=True):
    """A run on the screen.

    Attributes:
        run: its number.
        steps: on the screen.
        checkpoint: the last one given, as text; empty if the server was not asked for it.
        record: what the browser was told of the run, as ``viz.read_run`` takes it; with a
            checkpoint alone.
    """

    run: _Number
    steps: Annotated[int, msgspec.Meta(ge=0)]
    checkpoint: str = ""
    record: msgspec.Raw = _NOTHING


class SaveRequest(msgspec.Struct, frozen=True):
    """A wish to have a file.

    Attributes:
        what: which; what is saved of one run has the ending of its file.
        runs: names of the runs on the screen; one, but for comparisons. None before the first run.
        steps: of the first one on the screen.
        handed: whether the server has asked for what the browser has kept of them, and this is it.
        records: of the runs, as ``viz.read_run`` takes them.
        checkpoint: of the visitor's own run.
    """

    what: Literal[
        "json", "html", "steps.csv", "nodes.csv", "matrix", "comparison html", "comparison csv"
    ]
    runs: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MOST_RUNS)] = ()
    steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    handed: bool = False
    records: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MOST_RUNS)] = ()
    checkpoint: str = ""


T = TypeVar("T", BrowserState, SaveRequest)


def read(text: object, kind: type[T]) -> T | None:
    """The state or request in ``text``; None if there is none or it is malformed."""
    if not isinstance(text, str) or not text or len(text) > 2 * MAX_BYTES + MAX_FILE_BYTES:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
