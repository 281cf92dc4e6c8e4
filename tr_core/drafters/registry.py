"""All drafters by name. A new one is a file beside this and a line here; the tests find it."""

from __future__ import annotations

from pathlib import Path

import torch

from tr_core.drafters.base import Drafter
from tr_core.drafters.fused import Fused
from tr_core.drafters.lookahead_trie import LookaheadTrie
from tr_core.drafters.ngram_matrix import NgramMatrix
from tr_core.drafters.plain import Plain
from tr_core.drafters.prompt_lookup import PromptLookup
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.suffix_automaton import SuffixAutomaton
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.drafters.token_recycling_dynamic import TokenRecyclingDynamic
from tr_core.errors import SettingsError
from tr_core.target import Target

DRAFTERS: dict[str, type[Drafter]] = {
    drafter.name: drafter
    for drafter in (
        TokenRecycling,
        TokenRecyclingDynamic,
        RecyclingPlus,
        PromptLookup,
        LookaheadTrie,
        SuffixAutomaton,
        NgramMatrix,
        Fused,
        Plain,
    )
}


def entry(name: str) -> type[Drafter]:
    """The class of the drafter ``name``, with its properties.

    Raises:
        SettingsError: there is no such drafter.
    """
    if name not in DRAFTERS:
        raise SettingsError(f"There is no drafter “{name}”: choose {', '.join(DRAFTERS)}.")
    return DRAFTERS[name]


def create(name: str, vocab_size: int, k: int, device: torch.device) -> Drafter:
    """A new drafter that knows nothing yet.

    Raises:
        SettingsError: there is no such drafter.
        MatrixError: k does not fit the vocabulary.
    """
    return entry(name).create(vocab_size, k, device)


def load(name: str, path: str | Path, target: Target) -> Drafter:
    """A drafter that starts with what one of its kind has saved.

    Raises:
        SettingsError: there is no such drafter, or it saves nothing.
        MatrixError: the file is none of this drafter's, or belongs to another tokenizer.
    """
    drafter = entry(name)
    if not drafter.saves:
        kinds = ", ".join(other.name for other in DRAFTERS.values() if other.saves)
        raise SettingsError(
            f"{name} starts with no saved matrix: choose one of {kinds}, or start cold."
        )
    return drafter.load(path, target.vocabulary.fingerprint, target.vocab_size, target.device)
