"""Lookahead: a trie of n-grams (Zhao et al., arXiv 2312.12728).

Code of the authors: github.com/alipay/PainlessInferenceAcceleration.

Taken from there: one trie of the n-grams of prompt and outputs with how often each was seen, the
prompt's counting more; its part below the longest known ending of the text is the draft, several
branches at once. Where that is too little, shorter endings are used as well. Prompts are dropped
with their text; a full trie halves all counts and drops what was seen once.

Done differently: shorter endings always compete, each by its chance, not only if tokens are
lacking. For an ending seen n times, followed by d different tokens, the initial chance that one of
them comes next is n / (n + d) (escape method C of Moffat, IEEE Trans. Comm. 38(11), 1990); it is
corrected by how often that was right for such endings. Nodes are taken in best-first instead of
those above a frequency. Every new token is in the trie at once, not only when its n-gram is
complete.

Memory: at most 48,000 nodes of n-grams of up to 10 tokens, about 13 MB, and 24 children a node; and
half a megabyte of earlier texts, for checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.drafters.base import convert
from tr_core.drafters.shared import state_files as states
from tr_core.drafters.shared.best_first import Child
from tr_core.drafters.shared.calibration import Corrections, CorrectionsState
from tr_core.drafters.shared.text_cursor import Guesser
from tr_core.trace import Source

FORMAT = "lookahead-trie-1"
MOST_NODES = 48_000
WIDEST = 24
DEPTH = 10
PROMPT_WEIGHT = 2
_MOST_SEEN = 2**31 - 1
# Shorter endings are no longer asked when less chance than this is left for them.
_LEAST_LEFT = 0.02
# Kinds of endings that are corrected apart: their length, and how often they were seen.
_LENGTHS = 6
_SOURCES = tuple(Source("trie", length) for length in range(DEPTH + 1))


class _Node:
    """What is known of one n-gram.

    Attributes:
        below: n-grams one token longer.
        output: how often it was written. prompt: how often it was in the prompt of text number
            ``text``.
    """

    __slots__ = ("below", "output", "prompt", "text")

    def __init__(self) -> None:
        self.below: dict[int, _Node] | None = None
        self.output = self.prompt = self.text = 0


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """N-grams of earlier texts, each after the one it continues.

    This text's own n-grams do not travel: its first ``taken`` ids give them again.
    """

    parents: list[int]
    tokens: list[int]
    counts: list[int]
    taken: int
    corrections: CorrectionsState


# Endings of the text, longest first: the node of each, and its length.
_Endings = tuple[tuple[_Node, int], ...]


class LookaheadTrie(Guesser):
    """Branches of a trie of n-grams; what was written stays over prompts."""

    name = "lookahead_trie"
    summary = "branches of a trie of n-grams in prompt and outputs, by frequency (Zhao et al. 2024)"
    saves = True

    def __init__(self, vocab_size: int, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self._size = vocab_size
        self.nodes = 0
        self._top = _Node()
        self._text = 0
        self._corrections = Corrections(_LENGTHS * 3)
        self.begin()

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> LookaheadTrie:
        return cls(vocab_size, device)

    def begin(self) -> None:
        self._text += 1
        self._indexed = self._prompt = 0
        self._open: list[_Node] = []  # the node of the text's last token, of its last two, …
        self._before = self._numbers()
        self.nodes = len(self._before)

    def start(self, context: Sequence[int]) -> _Endings:
        if not self._indexed:
            self._prompt = len(context)
        self._take(context)
        endings = [(node, length) for length, node in enumerate(self._open, start=1) if node.below]
        return tuple(reversed(endings))

    def follow(self, cursor: _Endings, token: int) -> _Endings:
        longer = (((node.below or {}).get(token), length + 1) for node, length in cursor)
        return tuple((node, length) for node, length in longer if node is not None and node.below)

    def below(self, cursor: _Endings) -> list[Child]:
        children: list[Child] = []
        left = 1.0
        for length, raw, kind, tokens in self._orders(cursor):
            chance = min(0.98, raw * self._corrections.factors[kind]) * left
            total = sum(tokens.values())
            children += [
                (token, chance * weight / total, _SOURCES[length])
                for token, weight in tokens.items()
            ]
            left -= chance
            if left < _LEAST_LEFT:
                break
        children.sort(key=lambda child: -child[1])
        return children

    def judge(self, cursor: _Endings, choice: int) -> None:
        for _, raw, kind, tokens in self._orders(cursor):
            self._corrections.observe(kind, raw, choice in tokens)
            if choice in tokens:
                break

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write the n-grams of outputs and their counts as safetensors; prompts are not kept.

        Raises:
            MatrixError: the file cannot be written.
        """
        numbers = self._numbers()
        kept = numbers[:, 2] > 0
        for number in range(len(numbers) - 1, -1, -1):
            if kept[number] and numbers[number, 0] >= 0:
                kept[numbers[number, 0]] = True
        moved_to = np.append(np.cumsum(kept) - 1, -1)  # the last, −1, is the top
        parts = numbers[kept]
        parts[:, 0] = moved_to[parts[:, 0]]
        states.save(
            path,
            FORMAT,
            fingerprint,
            {"parents": parts[:, 0], "tokens": parts[:, 1], "counts": parts[:, 2]},
        )

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> LookaheadTrie:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        expected = dict.fromkeys(("parents", "tokens", "counts"), (np.int32, 1))
        parts = states.load(path, FORMAT, fingerprint, expected)
        drafter = cls(vocab_size, device)
        drafter._grow(path, *(parts[name].tolist() for name in expected))
        return drafter

    def state(self) -> dict[str, Any]:
        parents, tokens, counts = self._before.T.tolist()
        learned = msgspec.structs.asdict(self._corrections.state())
        return {
            "parents": parents, "tokens": tokens, "counts": counts, "taken": self._indexed,
            "corrections": learned,
        }  # fmt: skip

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        kept, text = convert(state, _State), [*prompt, *output]
        states.check("the checkpoint", 0 <= kept.taken <= len(text))
        self._grow("the checkpoint", kept.parents, kept.tokens, kept.counts)
        self._corrections.restore(kept.corrections)
        self._prompt = len(prompt)
        self._take(text[: kept.taken])

    def _grow(
        self, source: str | Path, parents: list[int], tokens: list[int], counts: list[int]
    ) -> None:
        """Know the n-grams of ``_numbers``, and nothing else.

        Raises:
            MatrixError: they do not fit each other or this model.
        """
        states.check(source, len(parents) == len(tokens) == len(counts) <= MOST_NODES)
        top = _Node()
        listed, depths = [top], [0]
        for number, (parent, token, count) in enumerate(zip(parents, tokens, counts, strict=True)):
            states.check(
                source,
                -1 <= parent < number and 0 <= token < self._size and 0 <= count <= _MOST_SEEN,
            )
            above = listed[parent + 1]
            above.below = above.below or {}
            states.check(source, token not in above.below and depths[parent + 1] < DEPTH)
            node = above.below[token] = _Node()
            node.output = count
            listed.append(node)
            depths.append(depths[parent + 1] + 1)
        self._top = top
        self.begin()

    def _numbers(self) -> np.ndarray:
        """(n, 3) int32 of each n-gram: the earlier one it continues, or −1; token; count."""
        rows: list[tuple[int, int, int]] = []
        level = [(-1, self._top)]
        while level:
            below = []
            for parent, node in level:
                for token, child in (node.below or {}).items():
                    below.append((len(rows), child))
                    rows.append((parent, token, child.output))
            level = below
        return np.array(rows, dtype=np.int32).reshape(-1, 3)

    def _take(self, text: Sequence[int]) -> None:
        """Add the tokens of ``text`` that are new."""
        for position in range(self._indexed, len(text)):
            if self.nodes > MOST_NODES - DEPTH:
                self._prune()
                self._open = self._endings(text[max(0, position - DEPTH + 1) : position])
            self._add(text[position], position < self._prompt)
        self._indexed = len(text)

    def _orders(self, cursor: _Endings) -> Iterator[tuple[int, float, int, dict[int, int]]]:
        """Endings that know tokens the longer ones do not: length, chance, kind, their weights."""
        seen: set[int] = set()
        for node, length in cursor:
            tokens = {}
            for token, child in (node.below or {}).items():
                weight = self._weight(child)
                if weight and token not in seen:
                    tokens[token] = weight
            if tokens:
                n = sum(tokens.values())
                kind = (
                    (min(length, _LENGTHS) - 1) * 3 + (n > PROMPT_WEIGHT) + (n > 2 * PROMPT_WEIGHT)
                )
                yield length, n / (n + len(tokens)), kind, tokens
                seen.update(tokens)

    def _weight(self, node: _Node) -> int:
        return node.output + (PROMPT_WEIGHT * node.prompt if node.text == self._text else 0)

    def _add(self, token: int, from_prompt: bool) -> None:
        """One token more: all n-grams that the text now ends with are one token longer."""
        self._open = [
            self._child(node, token, from_prompt) for node in (self._top, *self._open[: DEPTH - 1])
        ]

    def _child(self, node: _Node, token: int, from_prompt: bool) -> _Node:
        if node.below is None:
            node.below = {}
        child = node.below.get(token)
        if child is None:
            if len(node.below) >= WIDEST and node is not self._top:
                rarest = min(node.below.items(), key=lambda entry: self._weight(entry[1]))[0]
                self.nodes -= _size(node.below.pop(rarest))
            child = node.below[token] = _Node()
            self.nodes += 1
        if not from_prompt:
            child.output += 1
        elif child.text == self._text:
            child.prompt += 1
        else:
            child.text, child.prompt = self._text, 1
        return child

    def _endings(self, text: Sequence[int]) -> list[_Node]:
        """The nodes of the last token, the last two, …, as far as the trie has them."""
        endings: list[_Node] = []
        for length in range(1, len(text) + 1):
            node = self._top
            for token in text[-length:]:
                if node.below is None or token not in node.below:
                    return endings
                node = node.below[token]
            endings.append(node)
        return endings

    def _prune(self) -> None:
        """Halve all counts and drop what falls to nothing, until half of the room is free."""
        while self.nodes > MOST_NODES // 2:
            self.nodes = self._halve(self._top)

    def _halve(self, node: _Node) -> int:
        """Nodes left below one."""
        left, below = 0, node.below or {}
        for token, child in list(below.items()):
            child.output //= 2
            child.prompt = child.prompt // 2 if child.text == self._text else 0
            under = self._halve(child)
            if child.output or child.prompt or under:
                left += 1 + under
            else:
                del below[token]
        if not node.below:
            node.below = None
        return left


def _size(node: _Node) -> int:
    """Nodes of a branch."""
    return 1 + sum(map(_size, (node.below or {}).values()))
