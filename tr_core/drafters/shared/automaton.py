"""A suffix automaton that grows with the text: where did its longest ending occur before?

Blumer et al., “The smallest automaton recognizing the subwords of a text” (1985), grown token by
token; each state stands for the substrings that end at the same places. The link of the text's own
state is the longest ending that also occurs earlier. A token costs constant time on
average; n tokens take 2n states and 3n transitions at most.
"""

from __future__ import annotations

# A state, and how many tokens of a text's ending it is known to match.
Match = tuple[int, int]
NOTHING: Match = (0, 0)
# Endings for which the latest place is kept with each token. Longer chains of them occur in runs of
# one token only.
_MARKED = 16


class Automaton:
    """Finds the longest ending of the text that occurred earlier.

    Attributes:
        size: tokens taken in.
    """

    def __init__(self) -> None:
        self.size = 0
        self._next: list[dict[int, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        # Where each state's substrings last ended, the text's own end left out.
        self._end = [-1]
        self._last = 0

    def extend(self, token: int) -> None:
        """Take one token in."""
        self._mark()
        state = self._new(self._length[self._last] + 1, {}, -1, 0)
        above = self._last
        while above >= 0 and token not in self._next[above]:
            self._next[above][token] = state
            above = self._link[above]
        if above >= 0:
            target = self._next[above][token]
            if self._length[target] != self._length[above] + 1:
                target = self._split(above, token, target)
            self._link[state] = target
        self._last = state
        self.size += 1

    def ending(self) -> Match:
        """The longest ending of the text that occurred earlier."""
        state = max(self._link[self._last], 0)
        return state, self._length[state]

    def follow(self, match: Match, token: int) -> Match:
        """The longest ending, after one token more, that occurs in the text; nothing is added."""
        state, length = match
        while state and token not in self._next[state]:
            state = self._link[state]
            length = self._length[state]
        following = self._next[state].get(token)
        return (following, length + 1) if following is not None else NOTHING

    def position(self, match: Match) -> tuple[int, int]:
        """Where the text continues after the latest earlier occurrence of a match, and its length.

        A match that occurs at the end of the text alone is cut until something follows it; (0, 0)
        if nothing does.
        """
        state, length = match
        if state and self._end[state] < 0:
            state = self._link[state]
            length = self._length[state]
        return (self._end[state] + 1, length) if state else (0, 0)

    def _mark(self) -> None:
        """Note where the text's endings end, now that a token is about to follow."""
        state = self._last
        for _ in range(_MARKED):
            if state <= 0:
                return
            self._end[state] = self.size - 1
            state = self._link[state]

    def _split(self, above: int, token: int, target: int) -> int:
        """Give a state's shorter substrings one of their own: they now end at one more position."""
        clone = self._new(
            self._length[above] + 1, dict(self._next[target]), self._end[target], self._link[target]
        )
        while above >= 0 and self._next[above].get(token) == target:
            self._next[above][token] = clone
            above = self._link[above]
        self._link[target] = clone
        return clone

    def _new(self, length: int, following: dict[int, int], end: int, link: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._end.append(end)
        self._link.append(link)
        return len(self._link) - 1
