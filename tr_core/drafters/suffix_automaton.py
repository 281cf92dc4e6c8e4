"""SAM-Decoding (Hu et al., arXiv 2411.10666): copy where the text repeats itself.

Code of the authors: github.com/hyx1999/SAM-Decoding.

Taken from there: an automaton over prompt and output, grown as they grow, finds the longest ending
that occurred earlier. If it is long enough, what followed there is the draft, a chain of at most 40
tokens. If not, the draft is a tree of Token Recycling.

Done differently: it copies what followed the latest earlier occurrence, not the first. Where a copy
reaches the end of the text, the next shorter match continues. The recycled tree is grown
best-first.
There is no second automaton over a corpus: nothing is trained or downloaded here.
"""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.drafters.shared.best_first import Child
from tr_core.drafters.shared.copies_and_rows import CopiesAndRows, Cursor

LEAST_MATCH = 5
LONGEST = 40


class SuffixAutomaton(CopiesAndRows):
    """A copied chain where the text's ending is known, a tree of recycled rows elsewhere."""

    name = "suffix_automaton"
    summary = (
        "a chain copied after the longest suffix seen before, or recycled rows (Hu et al. 2024)"
    )
    form = "suffix-automaton-1"

    def begin(self) -> None:
        super().begin()
        self._copying = False

    def start(self, context: Sequence[int]) -> Cursor:
        cursor = super().start(context)
        self._copying = cursor[0][1] >= LEAST_MATCH
        return cursor

    def below(self, cursor: Cursor) -> list[Child]:
        if not self._copying:
            return self.rows.below(*cursor[1:])
        return self.copies.below(cursor[0]) if cursor[2] < LONGEST else []
