"""Text of ids that arrive a few at a time: what can be shown already, and no half characters."""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.target import Vocabulary


class TextStream:
    """Decodes incrementally; the pieces joined are the whole text."""

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
