"""Look-ups: where the end of a text occurred earlier in the same text, and how much of it.

The position of a match is that of the token to copy; its length is how many tokens before that
position equal the end of the text. Both are carried from token to token: a match continues if its
token came. So a step costs only what it adds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner

# How many of a token's latest positions are followed.
MAX_MATCHES = 64
# Columns of ``tokens``, of ``matches``, and of ``copies``.
TOKEN, _PREVIOUS = range(2)
POSITION, LENGTH = range(2)
COPY_TOKEN, COPY_LENGTH, COPY_POSITION = range(3)


class Text(NamedTuple):
    """The text so far, T tokens of V.

    Attributes:
        tokens: (room, 2) int64 each token, and the length of the text up to and with its previous
            occurrence; 0 if there is none.
        last: (V,) int32 the length of the text up to and with each token's last occurrence; 0 if
            there is none.
        matches: (MAX_MATCHES, 2) int64 all matches of the text's end, by rising position.
        sizes: (2,) int64 T, and how many matches there are.
        scratch: (2, MAX_MATCHES) int64.
    """

    tokens: np.ndarray
    last: np.ndarray
    matches: np.ndarray
    sizes: np.ndarray
    scratch: np.ndarray


@inner
def clear(text: Text) -> None:
    """Start a new text."""
    for position in range(text.sizes[0]):
        text.last[text.tokens[position, TOKEN]] = 0
    text.sizes[0] = text.sizes[1] = 0


@inner
def extend(text: Text, added: np.ndarray) -> None:
    """Append tokens to the text, which must have room for them."""
    positions, lengths = text.scratch[0], text.scratch[1]
    for token in added:
        end = text.sizes[0]
        count, position = 0, np.int64(text.last[token])
        while position and count < MAX_MATCHES:
            positions[count] = position
            count += 1
            position = text.tokens[position - 1, _PREVIOUS]
        # Both lists rise by position, this one when read from its end.
        old = 0
        for n in range(count - 1, -1, -1):
            while old < text.sizes[1] and text.matches[old, POSITION] < positions[n] - 1:
                old += 1
            continues = old < text.sizes[1] and text.matches[old, POSITION] == positions[n] - 1
            lengths[n] = text.matches[old, LENGTH] + 1 if continues else 1
        for n in range(count):
            text.matches[n, POSITION] = positions[count - 1 - n]
            text.matches[n, LENGTH] = lengths[count - 1 - n]
        text.tokens[end, TOKEN], text.tokens[end, _PREVIOUS] = token, text.last[token]
        text.last[token] = end + 1
        text.sizes[0], text.sizes[1] = end + 1, count


@inner
def find_copies(
    text: Text, matches: np.ndarray, branch: np.ndarray, depth: Int, copies: np.ndarray
) -> Int:
    """Find the tokens that matches would copy after the text and a branch.

    A match that has reached the end of the text continues in the branch, so that a short loop is
    copied again and again.

    Args:
        matches: (n, 2), their lengths counted up to the end of the branch.
        branch: (depth or more,) tokens after the text.
        copies: (MAX_MATCHES, 3) int64, filled with each token and the length and position of its
            longest match, the latest of equal ones; in the order of their first positions.

    Returns:
        How many tokens.
    """
    count = 0
    for n in range(len(matches)):
        token = token_at(text, matches[n, POSITION], branch, depth)
        if token < 0:
            continue
        copy = 0
        while copy < count and copies[copy, COPY_TOKEN] != token:
            copy += 1
        if copy == count:
            count += 1
        elif matches[n, LENGTH] < copies[copy, COPY_LENGTH]:
            continue
        copies[copy, COPY_TOKEN] = token
        copies[copy, COPY_LENGTH] = matches[n, LENGTH]
        copies[copy, COPY_POSITION] = matches[n, POSITION]
    return count


@inner
def token_at(text: Text, position: Int, branch: np.ndarray, depth: Int) -> Int:
    """The token at a position of the text and the branch after it; −1 after both."""
    beyond = position - text.sizes[0]
    if beyond < 0:
        return text.tokens[position, TOKEN]
    return branch[beyond] if beyond < depth else -1
