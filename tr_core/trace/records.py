"""What one step did, and what a run did: frozen records that go to JSON and back. No torch here.

Every view, metric, export and test reads these and nothing else. The classes are msgspec structs,
so reading a file checks every field's type, and an error names the unknown or missing field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from tr_core.errors import TraceError
from tr_core.settings import SAMPLING
from tr_core.trees.tree import DraftTree, TreeTemplate

SCHEMA = 1
MAX_FILE_BYTES = 200_000_000

Status = Literal["root", "accepted", "rejected", "unseen"]
Change = Literal["fresh", "moved", "kept"]
BudgetReason = Literal["best", "plain", "kept", "unseen", "probe"]
SourceKind = Literal["root", "row", "lookup", "usual", "trie", "automaton", "ngram", "fused"]


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds of each part of a step, on the host's clock, the device waited for.

    A static step is one piece: all of it counts as its forward pass.
    """

    draft_ms: float
    forward_ms: float
    verify_ms: float
    update_ms: float

    @property
    def total_ms(self) -> float:
        return self.draft_ms + self.forward_ms + self.verify_ms + self.update_ms


class RowChange(msgspec.Struct, frozen=True):
    """One matrix row that a step overwrote.

    Attributes:
        token: whose row it is.
        node: the scored node that wrote it.
        before: (k,) earlier candidates; empty if the row had never been written.
        after: (k,) candidates since.
    """

    token: int
    node: int
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """(k,) for each rank: a fresh candidate, one moved within the row, or one kept."""
        rank_before = {token: rank for rank, token in enumerate(self.before)}
        return tuple(
            "fresh" if t not in rank_before else "kept" if rank_before[t] == rank else "moved"
            for rank, t in enumerate(self.after)
        )

    @property
    def evicted(self) -> tuple[int, ...]:
        """Candidates that were in the row and no longer are, best first."""
        return tuple(t for t in self.before if t not in self.after)


class BudgetChoice(msgspec.Struct, frozen=True):
    """How many nodes a step was given, and why.

    Of templates that with most expected tokens per millisecond; of a draft that its drafter grows
    as many nodes as are worth their time at the run's own speed, ``rate``: where expected + later −
    rate · ms is highest.

    Attributes:
        chosen: draft nodes of the step's template.
        reason: ``best`` of the sizes; ``plain``, drafting promised too little more than it cost;
            ``kept``, the shape in use was nearly as good as the best; ``unseen``, the root's row
            was never written (or a drafter without rows knew nothing), so nothing could be drafted;
            ``probe``, another size than the best, whose cost was in doubt.
        spine: how many rows, from the root's down the first candidates, were right at rank 0 when
            last asked; 0 where the drafter grows its own trees.
        sizes: (s,) numbers of nodes weighed, the first 0, the last where no further node could pay;
            the one chosen is among them. A drafter that grows its own trees weighs them for each
            draft.
        expected: (s,) tokens that a step over the best tree of each size was expected to emit; 1.0
            for plain decoding.
        ms: (s,) milliseconds that such a step costs.
        later: (s,) tokens that the rows it writes are believed to save later on; empty where a
            template is chosen.
        rate: tokens per millisecond of the run so far; 0 where a template is chosen.
    """

    chosen: int
    reason: BudgetReason
    spine: int
    sizes: tuple[int, ...]
    expected: tuple[float, ...]
    ms: tuple[float, ...]
    later: tuple[float, ...] = ()
    rate: float = 0.0


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Where a drafted token came from; in JSON a list of three, ``["row", 2, -1]``.

    Attributes:
        kind: ``root`` the last committed token, no draft · ``row`` candidates that the model gave
            after the same tokens · ``lookup`` copied from prompt or output · ``usual`` nothing is
            known there, and the model holds the token likely all over the text · ``trie``,
            ``automaton``, ``ngram`` the method's own store · ``fused`` more than one drafter
            proposed it.
        key: how many tokens, the parent's the last of them, the entry that answered was found by; 0
            if no number fits.
        place: of a copied token, its place in prompt and output, from 0; −1 for all others.
    """

    kind: SourceKind
    key: int = 0
    place: int = -1


ROOT = Source("root")


class Held(msgspec.Struct, frozen=True):
    """What the drafter had to offer at the end of the path, whether it was drafted or not.

    Attributes:
        candidates: how many tokens it knew there, when it drafted.
        rank: place of the model's choice among them, best first; None if it was not among them.
    """

    candidates: int
    rank: int | None = None


class StepTrace(msgspec.Struct, frozen=True):
    """One step: draft, the model's verdict on every node, tokens emitted, rows overwritten.

    Attributes:
        index: number of the step in its run, from 1.
        committed: prompt and output tokens before this step; the root is at position
            ``committed − 1``.
        tokens, parents, ranks: (N + 1,) the draft tree; see ``TreeTemplate``.
        unseen: nodes below a never-written row; their token is a filler.
        choices: (N + 1,) the model's own pick after each node: argmax, or the sample.
        candidates: (N + 1, k) the model's best tokens after each node, best first.
        probabilities: (N + 1, k) their probabilities at temperature 1.
        path: accepted nodes, root excluded, cut where the run stopped.
        bonus: the choice after the path, or None if the run stopped before it.
        emitted: tokens added to the output: those of the path, then the bonus.
        stop: why the run ended with this step, or None. See ``STOP_REASONS``.
        rows: matrix rows overwritten, in the order of the nodes that wrote them.
        timing: milliseconds of each part.
        cached: tokens whose keys and values are in the cache after this step; always committed − 1
            of the next.
        passes: forward passes of this step. In strict runs above 1 where the path ended at a
            near-tie, which was settled by that many one-token passes more.
        budget: why the draft has its size, where the tree is ``auto``; None elsewhere.
        sources: (N + 1,) where each token came from; empty for a drafter that takes all from the
            rows of one matrix. With sources, a rank is the node's place among its siblings, in the
            order in which the tree took them in, and no place in a row; see ``ranks_are_places``.
        expected: (N + 1,) the chance that each node is on the path, as believed before the pass,
            rounded; the root's is 1. Empty for a drafter that expects nothing.
        held: what the drafter knew at the end of the path; None for a drafter that does not tell.
    """

    index: int
    committed: int
    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    ranks: tuple[int, ...]
    unseen: tuple[int, ...]
    choices: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]
    path: tuple[int, ...]
    bonus: int | None
    emitted: tuple[int, ...]
    stop: str | None
    rows: tuple[RowChange, ...]
    timing: Timing
    cached: int
    passes: int = 1
    budget: BudgetChoice | None = None
    sources: tuple[Source, ...] = ()
    expected: tuple[float, ...] = ()
    held: Held | None = None

    @property
    def ranks_are_places(self) -> bool:
        """Whether nodes' ranks are ranks in their parents' rows, as in the published method."""
        return not self.sources

    @property
    def tree(self) -> DraftTree:
        template = TreeTemplate("traced", self.parents, self.ranks)
        return DraftTree(template, self.tokens, frozenset(self.unseen))

    @property
    def statuses(self) -> tuple[Status, ...]:
        """(N + 1,) what became of each node."""
        path, unseen = set(self.path), set(self.unseen)
        below = range(1, len(self.tokens))
        return (
            "root",
            *("accepted" if n in path else "unseen" if n in unseen else "rejected" for n in below),
        )


STOP_REASONS = {
    "eos": "the model chose an end token",
    "stop_string": "a stop string was written",
    "max_new_tokens": "the limit of new tokens was reached",
    "model_length": "the model's maximum length was reached",
    "criterion": "a stopping criterion of the caller was met",
}


class RunInfo(msgspec.Struct, frozen=True):
    """What was run: enough to run it again.

    Attributes:
        model: Hub id or folder name, as chosen.
        family: transformers' ``model_type``.
        tokenizer: fingerprint of the vocabulary, 16 hex digits.
        vocab_size: width of the logits.
        drafter, tree, nodes, k: how drafts are made; ``nodes`` is the budget, with ``auto`` that of
            the first step.
        settings: all settings by name.
        dtype, device, attention: how the model ran.
        versions: of python, torch, transformers and this package.
        prompt_ids: the prompt's token ids.
        prefill_ms: milliseconds of the prefill.
        rows_seen: rows of the matrix that held candidates after the prefill; 0 for drafters without
            one.
        weight_bytes: bytes of weights that every pass reads; 0 if not known.
        cache_bytes_per_token: bytes of keys and values of one token, over all layers; 0 if not
            known.
        execution: how the steps ran: ``captured graph``, ``static step`` …, or ``ordinary`` and
            why.
        cost: milliseconds of a step by its draft nodes, as known on this machine when the run
            began; empty where the tree is not ``auto``.
        prompt_rows: places of the prompt whose rows the prefill computed: of each token the last
            one, and where the tree is ``auto`` no more than the output can pay for, the last ones.
    """

    model: str
    family: str
    tokenizer: str
    vocab_size: int
    drafter: str
    tree: str
    nodes: int
    k: int
    settings: dict[str, Any]
    dtype: str
    device: str
    attention: str
    versions: dict[str, str]
    prompt_ids: tuple[int, ...]
    prefill_ms: float
    rows_seen: int
    weight_bytes: int = 0
    cache_bytes_per_token: int = 0
    execution: str = "ordinary"
    cost: dict[int, float] = {}
    prompt_rows: int = 0


class RunTrace(msgspec.Struct, frozen=True):
    """A whole run.

    Attributes:
        schema: version of this format.
        info: what was run.
        steps: its steps, in order.
        pieces: text of every token id that occurs in the run; bytes that are no text of their own
            as ``<0xE2>``.
        partial_bytes: hexadecimal bytes of the tokens that are no text of their own.
        text: the output, decoded.
        stop_reason: why it ended, or None if it was interrupted. See ``STOP_REASONS``.
        reference_identical: whether plain decoding with none of our code gave the same ids; None if
            not checked.
    """

    schema: int
    info: RunInfo
    steps: tuple[StepTrace, ...]
    pieces: dict[int, str]
    partial_bytes: dict[int, str]
    text: str
    stop_reason: str | None
    reference_identical: bool | None = None

    @property
    def output_ids(self) -> tuple[int, ...]:
        return tuple(t for s in self.steps for t in s.emitted)

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> RunTrace:
        """Read what ``to_json`` wrote.

        Raises:
            TraceError: the text is no JSON, is cut short, lacks a field, or is of another schema.
        """
        try:
            schema = msgspec.json.decode(text, type=_Versioned).schema
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TraceError(f"This is not a complete trace file: {error}.") from error
        if schema != SCHEMA:
            newer = "newer" if schema > SCHEMA else "older"
            raise TraceError(
                f"This trace has schema {schema}, {newer} than schema {SCHEMA} that this version"
                f" reads; {'update the explorer' if schema > SCHEMA else 'record the run again'}."
            )
        try:
            trace = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise TraceError(f"This trace file is damaged: {error}.") from error
        return trace.checked()

    def checked(self) -> RunTrace:
        """Return this trace if it is sound, as far as the types of its fields do not tell.

        Raises:
            TraceError, TemplateError: a setting has another type, or the parts of a step do not
                fit each other.
        """
        try:
            msgspec.convert(self.info.settings, _Settings)
        except msgspec.ValidationError as error:
            raise TraceError(f"This trace file is damaged: its settings: {error}.") from error
        for step in self.steps:
            _check_step(step)
        return self


def read_trace(path: Path) -> RunTrace:
    """Read a trace file.

    Raises:
        TraceError: no such file, over 200 MB, or no complete trace of this schema.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TraceError(
                f"“{path.name}” is over {MAX_FILE_BYTES // 1_000_000} MB: record a shorter run."
            )
        return RunTrace.from_json(path.read_bytes())
    except OSError as error:
        raise TraceError(
            f"The trace file “{path.name}” cannot be read: {error.strerror}."
        ) from error


class _Versioned(msgspec.Struct):
    schema: int


# The settings that readers of a trace use.
_READ = {**SAMPLING, "seed": 0, "max_new_tokens": 0}
_Settings = msgspec.defstruct(
    "_Settings", [(name, type(default), default) for name, default in _READ.items()]
)


def _check_step(step: StepTrace) -> None:
    """Refuse a step whose parts do not fit each other."""
    size = len(step.tokens)
    lengths = {
        len(x)
        for x in (step.parents, step.ranks, step.choices, step.candidates, step.probabilities)
    }
    emitted = tuple(step.tokens[n] for n in step.path if 0 < n < size) + (
        () if step.bonus is None else (step.bonus,)
    )
    nodes = {*step.path, *step.unseen, *(r.node for r in step.rows)}
    fits = (
        lengths == {size}
        and {len(step.sources), len(step.expected)} <= {0, size}
        and emitted == step.emitted
        and nodes <= set(range(size))
        and step.passes >= 1
    )
    chances = all(0 <= e <= 1 for e in step.expected)
    # A copy may run on into its own branch, as where the text repeats itself.
    sources = all(s.key >= 0 and -1 <= s.place < step.committed + size for s in step.sources)
    if not (fits and chances and sources):
        raise TraceError(
            f"This trace file is damaged: the parts of step {step.index} do not fit each other."
        )
    TreeTemplate("traced", step.parents, step.ranks)
