"""The loops of recycling_plus: compiled functions over arrays, and what the arrays hold.

    features.py         the features of a candidate, and their first weights
    rows.py             candidates keyed by one to three tokens, in bounded memory
    lookup.py           where the end of the text occurred before
    frequent_tokens.py  what the model finds probable all over the text
    candidates.py       from these: the candidates of a node, with their chances
    grow.py             a draft, best node first
    learn.py            what a scored draft teaches
    arrays.py           where all of it is stored: three arrays
    entry_points.py     what Python calls
    warm_up.py          compiles all of it
    numba_cache.py      how, and where compiled code is kept

Each part is a named tuple of arrays; a number that changes is kept in an array too.
"""
