"""What recycling_plus knows at a place: the candidates of rows and look-ups, each with its marks and its chance."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp

from tr_core.drafters import marks as m
from tr_core.drafters.calibration import Calibration, Marks
from tr_core.drafters.rowstore import RowStore
from tr_core.drafters.textindex import Copies
from tr_core.trace import Source
from tr_core.tree import MAX_K

# Of the rows of shorter keys, the first places only: what the longest key's row lacks and they have is seldom right.
FALLBACK_RANKS = 3
USUAL = Source("usual")
ROW_SOURCES = tuple(Source("row", n) for n in range(4))
_PLACES = tuple(m.RANK + rank if rank < m.RANKS else m.NO_RANK - 1 for rank in range(MAX_K))

_USUAL_PLACES = (*range(m.RANK, m.NO_RANK), *[m.NO_RANK - 1] * MAX_K)

# Token, chance if its parent is on the path, where it came from, and its marks.
Candidate = tuple[int, float, Source, Marks]


def known(
    store: RowStore,
    calibration: Calibration,
    usual: dict[int, int],
    keys: Sequence[int],
    copies: Copies,
    most: int,
    step: int,
) -> list[Candidate]:
    """What may follow at a place: no token twice, in no order.

    Args:
        usual: tokens to guess where no row is known, the best first, with the marks of their shares.
        keys: of the place, the shortest first.
        copies: what look-ups give there.
        most: of the longest key's row the first so many; if these are not all, nothing of the rows behind it.
        step: the present one.
    """
    rows, worth, unpack = store.rows.get, calibration.worth, store.unpack
    longest = max([copy[0] for copy in copies.values()]) if copies else 0
    silent = m.other(longest) if longest else m.OTHER
    listed: list[Candidate] = []
    taken: list[int] | tuple[int, ...] = ()
    main = len(keys)
    while main and (row := rows(keys[main - 1])) is None:
        main -= 1
    if main:
        ids, chances, born = row
        # A pass writes the same row under all its keys; what another pass wrote is a second opinion.
        second, agree, unheard = main - 1, None, m.AGREE
        while second and ((other := rows(keys[second - 1])) is None or other is row or other[0] == ids):
            second -= 1
        if second:
            agree, unheard = m.agreement(unpack(other[0])).get, m.AGREE_ABSENT
        kind, age, source = m.ROW + main, m.AGED + bisect_right(m.AGES, step - born), ROW_SOURCES[main]
        taken = unpack(ids)[:most]
        base = worth[kind] + worth[age]
        plain = base + worth[silent] + worth[unheard]
        if agree is None and not copies:  # most places are like this
            for token, place, chance in zip(taken, _PLACES, chances):  # noqa: B905 - as many as are taken
                marks = (kind, place, chance, silent, age, unheard)
                listed.append((token, 1.0 / (1.0 + exp(-(plain + worth[place] + worth[chance]))), source, marks))
        else:
            agree = agree or {}.get
            for token, place, chance in zip(taken, _PLACES, chances):  # noqa: B905
                look, voice, mine = silent, agree(token, unheard), source
                if token in copies:
                    length, where, _ = copies[token]
                    look = m.this(length) if length == longest else m.SHORTER
                    if length > main:  # the one that saw more of the text answers
                        mine = Source("lookup", length, where)
                odds = base + worth[look] + worth[voice] + worth[place] + worth[chance]
                listed.append((token, 1.0 / (1.0 + exp(-odds)), mine, (kind, place, chance, look, age, voice)))
        if most >= store.k:
            taken = list(taken)
            for n in range(main - 1, 0, -1):
                behind = rows(keys[n - 1])
                # Of a row already read nothing is left.
                if behind is None or behind is row:
                    continue
                ids, chances, born = behind
                kind, age, source = m.FALLBACK[main, n], m.AGED + bisect_right(m.AGES, step - born), ROW_SOURCES[n]
                base = worth[kind] + worth[age] + worth[m.AGREE]
                for token, place, chance in zip(unpack(ids)[:FALLBACK_RANKS], _PLACES, chances):  # noqa: B905
                    if token in taken:
                        continue
                    taken.append(token)
                    look, mine = silent, source
                    if token in copies:
                        length, where, _ = copies[token]
                        look = m.this(length) if length == longest else m.SHORTER
                        if length > n:
                            mine = Source("lookup", length, where)
                    odds = base + worth[look] + worth[place] + worth[chance]
                    listed.append((token, 1.0 / (1.0 + exp(-odds)), mine, (kind, place, chance, look, age, m.AGREE)))
    elif most >= store.k:
        taken = tuple(usual)
        base = worth[m.USUAL] + worth[m.NO_AGE] + worth[m.AGREE]
        for (token, chance), place in zip(usual.items(), _USUAL_PLACES, strict=False):
            look, mine = silent, USUAL
            if token in copies:
                length, where, _ = copies[token]
                look, mine = m.this(length) if length == longest else m.SHORTER, Source("lookup", length, where)
            odds = base + worth[look] + worth[place] + worth[chance]
            marks = (m.USUAL, place, chance, look, m.NO_AGE, m.AGREE)
            listed.append((token, 1.0 / (1.0 + exp(-odds)), mine, marks))
    for token, (length, where, _) in copies.items():
        if token not in taken:
            look = m.this(length) if length == longest else m.SHORTER
            marks = (m.COPIED, m.NO_RANK, m.NO_CHANCE, look, m.NO_AGE, m.AGREE)
            listed.append((token, calibration.chance(marks), Source("lookup", length, where), marks))
    return listed
