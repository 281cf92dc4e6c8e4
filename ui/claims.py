"""What the browser says of the run on its screen, so that a server that does not know it can go on with it. No gradio.

The browser keeps the checkpoints it is given, unread. A claim without one names the run; if the server does not have
it, it says so, and the browser asks again with the checkpoint.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tr_core.checkpoint import MAX_BYTES

_Number = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$")]


class Claim(msgspec.Struct, frozen=True):
    """A run on the screen.

    Attributes:
        run: its number.
        steps: on the screen.
        checkpoint: the last one given, as text; empty if the server was not asked for it.
    """

    run: _Number
    steps: Annotated[int, msgspec.Meta(ge=0)]
    checkpoint: str = ""


def read(text: object) -> Claim | None:
    """The claim, or None if there is none; what is no claim counts as none, since it is no words of a visitor."""
    if not isinstance(text, str) or not text or len(text) > 2 * MAX_BYTES:
        return None
    try:
        return msgspec.json.decode(text, type=Claim)
    except (msgspec.DecodeError, UnicodeError):
        return None
