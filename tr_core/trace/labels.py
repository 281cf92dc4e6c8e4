"""Visible labels of tokens: white space, control characters and raw bytes get marks.

A space is drawn as ``·``, a line break as ``⏎``, a tab as ``⇥``; any other invisible character is
named by its number, ``‹U+200B›``, and a real character that looks like one of these marks is put in
``‹ ›``. Labels are plain text: draw them as text, never as HTML.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

SPACE, NEWLINE, TAB = "·", "⏎", "⇥"
CELLS = 10

_MARKS = {" ": SPACE, "\n": NEWLINE, "\t": TAB}
_SHAPELESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_RUN = re.compile(f"([{SPACE}{NEWLINE}{TAB}])\\1{{2,}}")


@cache
def _visible(char: str) -> str:
    """One character as a reader can see it."""
    if char in _MARKS:
        return _MARKS[char]
    if char in _MARKS.values():
        return f"‹{char}›"
    if unicodedata.category(char) in _SHAPELESS:
        return f"‹U+{ord(char):04X}›"
    return char


def full_label(piece: str, partial: str = "") -> str:
    """The whole of a token, made visible.

    Args:
        piece: the token's text.
        partial: hexadecimal bytes if the token is no text of its own; they are shown then instead
            of ``piece``.
    """
    if partial:
        return "‹" + " ".join(partial[i : i + 2].upper() for i in range(0, len(partial), 2)) + "›"
    if not piece:
        return "‹empty›"
    shown = "".join(_visible(c) for c in piece)
    # A combining mark needs something to stand on, or it would sit on whatever is drawn before the
    # label.
    return "◌" + shown if unicodedata.category(piece[0]) in ("Mn", "Me", "Mc") else shown


def cells(text: str) -> int:
    """Width in columns of a fixed-width font.

    2 for wide East Asian letters and emoji, 0 for combining marks.
    """
    return sum(_cell(c) for c in text)


def label(piece: str, partial: str = "", limit: int = CELLS) -> str:
    """``full_label``, cut to ``limit`` columns.

    A long run of white space becomes a count: ``·×12``.
    """
    shown = full_label(piece, partial)
    if cells(shown) <= limit:
        return shown
    shown = _RUN.sub(lambda run: f"{run[1]}×{len(run[0])}", shown)
    if cells(shown) <= limit:
        return shown
    kept, width = [], 1
    for char in shown:
        width += _cell(char)
        if width > limit:
            break
        kept.append(char)
    return "".join(kept) + "…"


def _cell(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def visible_piece(raw: bytes) -> str:
    """Text of a token; bytes that are no UTF-8 of their own as ``<0xE2>``."""
    # surrogateescape maps each stray byte to one lone surrogate U+DC80 … U+DCFF, and nothing else
    # to these.
    text = raw.decode("utf-8", errors="surrogateescape")
    return "".join(f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in text)
