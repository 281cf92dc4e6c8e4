"""What recycling_plus knows at a place: the candidates of rows and look-ups, each with its marks
and its chance.

A candidate has one mark of each kind: which key's row holds it, its rank there, how probable the
model found it, what a look-up in the text says of it, how old the row is, whether another row
agrees. Each mark is worth some log-odds, and the chance is the logistic function of their sum. At
every node of an accepted path the model's choice is known, and so is every candidate that was known
there, drafted or not: each moves its marks a little (stochastic gradient of the logarithmic loss),
so nothing has to be drafted to be learned about. Between, all marks are drawn back to their priors,
so a short text cannot lead them far.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import features as m
from tr_core.drafters.recycling_plus.kernels.frequent_tokens import GUESSED
from tr_core.drafters.recycling_plus.kernels.frequent_tokens import MOST as MOST_USUAL
from tr_core.drafters.recycling_plus.kernels.lookup import COPIED, COPY_LENGTH, COPY_PLACE, PLACES
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner
from tr_core.drafters.recycling_plus.kernels.rows import born, candidate, find, key_of, mark

# Step of a mark for an error of 1, and the share of the way back to its prior that it goes at each
# lesson.
RATE = 0.02
_RETURN = 0.002
# Of the rows of shorter keys, the first places only: what the longest key's row lacks and they have
# is seldom right.
_FALLBACK_RANKS = 3
# Columns of ``told``, and what a candidate came from. The marks stand in one number, eight bits
# each.
TOKEN, KIND, KEY, WHERE, MARKS = range(5)
COLUMNS = 5
USUAL, ROW, LOOKUP, _NONE = (
    np.int64(n) for n in (0, 1, 2, 0)
)  # else functions are compiled for each number


class Found(NamedTuple):
    """Candidates of the places that were asked about, those of one place together.

    Attributes:
        told: (M, 5) int64 token, where it came from: kind, tokens of the key or of the match, place
            of the match; and its marks.
        chances: (M,) float64, if the parent is on the path.
        copies: (PLACES, 3) int64, room for what look-ups give at a place.
    """

    told: np.ndarray
    chances: np.ndarray
    copies: np.ndarray


@inner
def room(k):
    """Candidates of one place at most."""
    return max(k + 2 * _FALLBACK_RANKS, MOST_USUAL) + PLACES


@inner
def _copied(found, copies, token):
    """The line of a token among what look-ups give, −1 if they do not."""
    for line in range(copies):
        if found.copies[line, COPIED] == token:
            return line
    return np.int64(-1)


@inner
def _looked_up(found, copies, token, match, key):
    """What look-ups say of a token: the line that answers instead of a row, −1 if none does, and
    the mark.

    Args:
        match: length of the longest match.
        key: tokens of the row's key: of both, that answers which saw more of the text.
    """
    line = _copied(found, copies, token)
    if line < 0:
        return line, m.other(match)
    length = found.copies[line, COPY_LENGTH]
    return line if length > key else np.int64(-1), m.this(match) if length == match else np.int64(
        m.SHORTER
    )


@inner
def _holds(found, start, end, token):
    for at in range(start, end):  # noqa: SIM110 - generators are not compiled
        if found.told[at, TOKEN] == token:
            return True
    return False


@inner
def _note(found, worth, at, token, kind, key, line, row, place, probability, look, age, voice):
    """Write a candidate down; ``line`` is the look-up that answers instead of the row, −1 if none
    does.
    """
    found.told[at, TOKEN] = token
    if line >= 0:
        found.told[at, KIND], found.told[at, KEY] = LOOKUP, found.copies[line, COPY_LENGTH]
        found.told[at, WHERE] = found.copies[line, COPY_PLACE]
    else:
        found.told[at, KIND], found.told[at, KEY], found.told[at, WHERE] = kind, key, -1
    found.told[at, MARKS] = (
        row | place << 8 | probability << 16 | look << 24 | age << 32 | voice << 40
    )
    odds = worth[row] + worth[place] + worth[probability] + worth[look] + worth[age] + worth[voice]
    found.chances[at] = 1.0 / (1.0 + exp(-odds))
    return at + 1


@inner
def _second_opinion(rows, second, first, token, base, main, mine):
    """The row of a shorter key that another pass wrote, −1 if none did: a pass writes one row under
    all its keys.
    """
    for shorter in range(main - 1, 0, -1):
        row = find(rows, key_of(second, first, token, shorter, base))
        if row < 0:
            continue
        for place in range(rows.k):
            if candidate(rows, row, place) != candidate(rows, mine, place):
                return row
    return -1


@inner
def known(parts, start, copies, second, first, last, longest, most, step):
    """What may follow at a place: no token twice, in no order.

    Args:
        parts: ``found`` takes the candidates, and has what look-ups give there.
        start: where to write them.
        copies: how many tokens look-ups give.
        second, first, last: tokens of the place; −1 where the text has not so many.
        longest: tokens of a key at most.
        most: of the longest key's row the first so many; if these are not all, nothing of the rows
            behind it.
        step: the present one.

    Returns:
        Behind the last.
    """
    rows, worth, usual, found = parts.rows, parts.worth, parts.usual, parts.found
    k, at = rows.k, start
    match = _NONE
    for line in range(copies):
        match = max(match, found.copies[line, COPY_LENGTH])
    base, main, row = np.int64(len(usual.line) + 1), 0, -1
    for length in range(longest, 0, -1):
        key = key_of(second, first, last, length, base)
        row = find(rows, key) if key >= 0 else -1
        if row >= 0:
            main = length
            break
    if main:
        other = _second_opinion(rows, second, first, last, base, main, row)
        age = m.aged(step - born(rows, row))
        for rank in range(min(k, most)):
            token, voice = candidate(rows, row, rank), m.AGREE
            if other >= 0:
                theirs = -1
                for place in range(k):
                    if candidate(rows, other, place) == token:
                        theirs = place
                        break
                voice = m.agreeing(theirs)
            line, look = _looked_up(found, copies, token, match, main)
            place, chance = m.ranked(rank), mark(rows, row, rank)
            at = _note(
                found,
                worth,
                at,
                token,
                ROW,
                main,
                line,
                m.ROW + main,
                place,
                chance,
                look,
                age,
                voice,
            )
        if most >= k:
            for shorter in range(main - 1, 0, -1):
                behind = find(rows, key_of(second, first, last, shorter, base))
                if behind < 0:
                    continue
                kind, age = m.FALLBACK[main, shorter], m.aged(step - born(rows, behind))
                for rank in range(min(k, _FALLBACK_RANKS)):
                    token = candidate(rows, behind, rank)
                    if _holds(found, start, at, token):
                        continue
                    line, look = _looked_up(found, copies, token, match, shorter)
                    place, chance = m.ranked(rank), mark(rows, behind, rank)
                    at = _note(
                        found,
                        worth,
                        at,
                        token,
                        ROW,
                        shorter,
                        line,
                        kind,
                        place,
                        chance,
                        look,
                        age,
                        m.AGREE,
                    )
    elif most >= k:
        for rank in range(usual.counts[GUESSED]):
            token = usual.best[rank, 0]
            line, look = _looked_up(found, copies, token, match, _NONE)
            place, chance = m.ranked(rank), usual.best[rank, 1]
            at = _note(
                found,
                worth,
                at,
                token,
                USUAL,
                _NONE,
                line,
                m.USUAL,
                place,
                chance,
                look,
                m.NO_AGE,
                m.AGREE,
            )
    for line in range(copies):
        token = found.copies[line, COPIED]
        if not _holds(found, start, at, token):
            place, chance = m.NO_RANK, m.NO_CHANCE
            look = _looked_up(found, copies, token, match, _NONE)[1]
            at = _note(
                found,
                worth,
                at,
                token,
                LOOKUP,
                _NONE,
                line,
                m.COPIED,
                place,
                chance,
                look,
                m.NO_AGE,
                m.AGREE,
            )
    return at


@inner
def correct(found, worth, start, end, choice, rate):
    """Learn from a node of the path, where the model chose ``choice``."""
    for at in range(start, end):
        marks = found.told[at, MARKS]
        a, b, c = marks & 255, marks >> 8 & 255, marks >> 16 & 255
        d, e, f = marks >> 24 & 255, marks >> 32 & 255, marks >> 40
        odds = worth[a] + worth[b] + worth[c] + worth[d] + worth[e] + worth[f]
        step = rate * ((found.told[at, TOKEN] == choice) - 1.0 / (1.0 + exp(-odds)))
        worth[a] += step
        worth[b] += step
        worth[c] += step
        worth[d] += step
        worth[e] += step
        worth[f] += step


@inner
def draw_back(worth, priors):
    """Draw all marks a little back to their priors."""
    for n in range(len(worth)):
        worth[n] += _RETURN * (priors[n] - worth[n])


def marks_of(packed: int) -> tuple[int, ...]:
    """The marks of a candidate one by one."""
    return tuple(packed >> 8 * n & 255 for n in range(6))
