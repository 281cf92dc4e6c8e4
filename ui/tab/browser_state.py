"""What the browser says of its runs, so that a server without them can resume or save them.

The browser keeps all records of a run, and its checkpoints, unread. It first only names a run. If
the server does not have it, the browser asks again and sends what it has kept. No gradio here.
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
        checkpoint: the last one received, as text; empty if none was requested.
        record: the browser's record of the run, as ``viz.read_run`` takes it; only with a
            checkpoint.
    """

    run: _Number
    steps: Annotated[int, msgspec.Meta(ge=0)]
    checkpoint: str = ""
    record: msgspec.Raw = _NOTHING


class SaveRequest(msgspec.Struct, frozen=True):
    """A request for a file.

    Attributes:
        what: the kind of file; for one run, the ending of its name.
        runs: names of the runs on the screen: one, or several in comparisons; empty before the
            first run.
        steps: of the first one on the screen.
        handed: whether these are the browser's kept records, which the server requested.
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
