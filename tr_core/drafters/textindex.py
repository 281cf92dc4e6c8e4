"""Where the end of a text stood before in the same text, and how much of it: look-ups for drafts.

The place of a match is that of the token that would be copied, and its length is how many tokens before it equal the
end of the text. Both are carried from token to token (a match goes on if its token came), so a step costs what it adds.
"""

from __future__ import annotations

from collections.abc import Sequence

# Latest places of a token that are followed, and the length beyond which matches are not told apart.
PLACES = 64

# Place → length, by rising place.
Matches = dict[int, int]
# Token that would be copied → length and place of its longest match, the latest where two are as long, and the matches
# behind it, should it come.
Copies = dict[int, tuple[int, int, Matches]]


class TextIndex:
    """The text so far.

    Attributes:
        matches: place → length, of all matches of the text's end.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """A new text."""
        self._text: list[int] = []
        self._after: dict[int, list[int]] = {}
        self.matches: Matches = {}

    def extend(self, text: Sequence[int]) -> None:
        """``text`` is what is known and some more tokens; take them in."""
        known, after, matches = self._text, self._after, self.matches
        for token in text[len(known) :]:
            known.append(token)
            places = after.setdefault(token, [])
            length = matches.get
            matches = {place: length(place - 1, 0) + 1 for place in places}
            places.append(len(known))
            if len(places) > PLACES:
                del places[0]
        self.matches = matches

    def reaches_end(self, matches: Matches) -> bool:
        """Whether some of the matches go on behind the text, so that what comes there must be known."""
        return bool(matches) and next(reversed(matches)) >= len(self._text)

    def copies(self, matches: Matches, branch: Sequence[int]) -> Copies:
        """What matches would copy, behind the text and ``branch``.

        A match that has reached the end of the text goes on in the branch: a short loop is copied on and on.
        """
        text, end, found = self._text, len(self._text), {}
        for place, length in matches.items():
            if place < end:
                token = text[place]
            elif place - end < len(branch):
                token = branch[place - end]
            else:
                continue
            known = found.get(token)
            if known is None:
                found[token] = (length, place, {place + 1: length + 1})
            else:
                known[2][place + 1] = length + 1
                if length >= known[0]:
                    found[token] = (length, place, known[2])
        return found
