"""Where the end of a text stood before in the same text, and how much of it: look-ups for drafts.

The place of a match is that of the token that would be copied, and its length is how many tokens
before it equal the end of the text. Both are carried from token to token (a match goes on if its
token came), so a step costs what it adds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# Latest places of a token that are followed, and the length beyond which matches are not told
# apart.
PLACES = 64
# Columns of ``tokens``, of ``matches``, and of ``copies``.
TOKEN, _BEFORE = range(2)
PLACE, LENGTH = range(2)
COPIED, COPY_LENGTH, COPY_PLACE = range(3)


class Text(NamedTuple):
    """The text so far, T tokens of V.

    Attributes:
        tokens: (room, 2) int64 each token, and how far the text went when it came last before; 0 if
            it had not come.
        last: (V,) int32 how far the text went when each token came last, itself included; 0 if it
            has not come.
        matches: (PLACES, 2) int64 all matches of the text's end, by rising place.
        sizes: (2,) int64 T, and how many matches there are.
        desk: (2, PLACES) int64 to work on.
    """

    tokens: np.ndarray
    last: np.ndarray
    matches: np.ndarray
    sizes: np.ndarray
    desk: np.ndarray


@inner
def clear(text):
    """A new text."""
    for place in range(text.sizes[0]):
        text.last[text.tokens[place, TOKEN]] = 0
    text.sizes[0] = text.sizes[1] = 0


@inner
def extend(text, more):
    """Take in what comes next; there is room for it."""
    places, lengths = text.desk[0], text.desk[1]
    for token in more:
        end = text.sizes[0]
        count, place = 0, np.int64(text.last[token])
        while place and count < PLACES:
            places[count] = place
            count += 1
            place = text.tokens[place - 1, _BEFORE]
        # Both lists rise by place, this one when read from its end.
        before = 0
        for n in range(count - 1, -1, -1):
            while before < text.sizes[1] and text.matches[before, PLACE] < places[n] - 1:
                before += 1
            goes_on = before < text.sizes[1] and text.matches[before, PLACE] == places[n] - 1
            lengths[n] = text.matches[before, LENGTH] + 1 if goes_on else 1
        for n in range(count):
            text.matches[n, PLACE], text.matches[n, LENGTH] = (
                places[count - 1 - n],
                lengths[count - 1 - n],
            )
        text.tokens[end, TOKEN], text.tokens[end, _BEFORE] = token, text.last[token]
        text.last[token] = end + 1
        text.sizes[0], text.sizes[1] = end + 1, count


@inner
def copies(text, matches, branch, depth, found):
    """What matches would copy, behind the text and a branch.

    A match that has reached the end of the text goes on in the branch: a short loop is copied on
    and on.

    Args:
        matches: (n, 2), their length counted behind the branch.
        branch: (depth or more,) tokens behind the text.
        found: (PLACES, 3) int64: takes each token, with the length and the place of its longest
            match, the latest where two are as long; in the order of their first places.

    Returns:
        How many tokens.
    """
    count = 0
    for n in range(len(matches)):
        token = next_token(text, matches[n, PLACE], branch, depth)
        if token < 0:
            continue
        line = 0
        while line < count and found[line, COPIED] != token:
            line += 1
        if line == count:
            count += 1
        elif matches[n, LENGTH] < found[line, COPY_LENGTH]:
            continue
        found[line, COPIED], found[line, COPY_LENGTH], found[line, COPY_PLACE] = (
            token, matches[n, LENGTH], matches[n, PLACE],
        )  # fmt: skip
    return count


@inner
def next_token(text, place, branch, depth):
    """The token at a place of the text and the branch behind it; −1 behind both."""
    behind = place - text.sizes[0]
    if behind < 0:
        return text.tokens[place, TOKEN]
    return branch[behind] if behind < depth else -1
