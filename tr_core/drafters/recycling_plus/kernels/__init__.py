"""The loops of recycling_plus: compiled functions over arrays, and what the arrays hold.

    marks.py      what is told of a candidate, and what each mark is worth
    rows.py       candidates under keys of one to three tokens, in bounded memory
    text.py       where the end of the text stood before
    usual.py      what the model holds likely all over the text
    known.py      from these: the candidates of a place with their chances
    growing.py    a draft, best node first
    learning.py   what a pass tells all of them
    memory.py     where all of it stands: three arrays
    loops.py      what Python calls
    first_use.py  compiling all of it
    compiled.py   how, and where compiled code is kept

Each part is a named tuple of arrays; a count that changes stands in an array too.
"""
