"""All drafters by name. A new one is a file beside this and a line in ``DRAFTERS``; the tests pick
it up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tr_core.drafters.base import Drafter
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.fused import Fused
from tr_core.drafters.lookahead_trie import LookaheadTrie
from tr_core.drafters.ngram_matrix import NgramMatrix
from tr_core.drafters.plain import Plain
from tr_core.drafters.prompt_lookup import PromptLookup
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.recycling_plus.kernels import warm_up as first_use
from tr_core.drafters.suffix_automaton import SuffixAutomaton
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.drafters.token_recycling_dynamic import TokenRecyclingDynamic
from tr_core.errors import SettingsError


@dataclass(frozen=True)
class DrafterEntry:
    """How a drafter is made, and what it is in a few words.

    Attributes:
        create: ``create(vocab_size, k, device)``.
        summary: one line for the page and the command line.
        has_matrix: whether it keeps a ``CandidateMatrix`` on the device.
        uses_tree: whether the template gives the draft's shape; otherwise only its number of nodes
            counts.
        drafts: whether there is anything to give a budget to.
        learns: whether it thinks on the host and learns from each pass there; see ``HostDrafter``.
        grows: whether it grows a tree of its own for each draft, best nodes first, and can be told
            where to end it.
        load: ``load(path, fingerprint, vocab_size, device)``, which reads what its ``save(path,
            fingerprint)`` wrote; None if nothing it knows can be kept in a file.
        last_wins: whether of all places of a token in a prompt the last one alone teaches it
            anything.
        prepare: what its first use in a process waits for, a quarter of a minute at worst; None if
            nothing. Whoever has somebody to tell calls it first, in a thread; calling it again
            costs nothing.
    """

    create: Callable[[int, int, torch.device], Drafter]
    summary: str
    has_matrix: bool = False
    uses_tree: bool = False
    drafts: bool = True
    learns: bool = False
    grows: bool = False
    load: Callable[[str | Path, str, int, torch.device], Drafter] | None = None
    last_wins: bool = False
    prepare: Callable[[], None] | None = None


DRAFTERS = {
    "token_recycling": DrafterEntry(
        lambda vocab_size, k, device: TokenRecycling(CandidateMatrix(vocab_size, k, device)),
        "a tree from the recycled candidates of every token scored so far (Luo et al. 2025)",
        has_matrix=True,
        uses_tree=True,
        load=TokenRecycling.load,
        last_wins=True,
    ),
    "token_recycling_dynamic": DrafterEntry(
        TokenRecyclingDynamic,
        "the same rows with their probabilities, each draft a tree of its own grown best-first",
        learns=True,
        grows=True,
        load=TokenRecyclingDynamic.load,
    ),
    "recycling_plus": DrafterEntry(
        RecyclingPlus,
        "rows under one to three tokens and look-ups in the text, trees grown by calibrated chance",
        learns=True,
        grows=True,
        load=RecyclingPlus.load,
        prepare=first_use.prepare,
    ),
    "prompt_lookup": DrafterEntry(
        lambda vocab_size, k, device: PromptLookup(device),
        "a chain copied from the latest place where the last three, two or one tokens stood (Saxena"
        " 2023)",
    ),
    "lookahead_trie": DrafterEntry(
        lambda vocab_size, k, device: LookaheadTrie(vocab_size, device),
        "branches of a trie of the n-grams of prompt and outputs, by how often they were seen (Zhao"
        " et al. 2024)",
        learns=True,
        grows=True,
        load=LookaheadTrie.load,
    ),
    "suffix_automaton": DrafterEntry(
        SuffixAutomaton.create,
        "a chain copied behind the longest ending that stood before, or recycled rows (Hu et al."
        " 2024)",
        learns=True,
        grows=True,
        load=SuffixAutomaton.load,
    ),
    "ngram_matrix": DrafterEntry(
        lambda vocab_size, k, device: NgramMatrix(vocab_size, device),
        "a search through what the model gave after pairs of tokens so far (Liu et al. 2024)",
        learns=True,
        grows=True,
        load=NgramMatrix.load,
    ),
    "fused": DrafterEntry(
        Fused.create,
        "copies from the text and recycled rows merged into one tree (Quan et al. 2025)",
        learns=True,
        grows=True,
        load=Fused.load,
    ),
    "none": DrafterEntry(
        lambda vocab_size, k, device: Plain(device),
        "plain decoding: one token a pass",
        drafts=False,
    ),
}


def entry(name: str) -> DrafterEntry:
    """The registry's line for ``name``.

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
