"""What a run needs to resume elsewhere: plain data for any process with the same model.

    text = take(session).to_json()  # between two steps; through a pipe, a browser …
    session = resume(target, Checkpoint.from_json(text))  # … and on, as if never interrupted

Keys and values are not part of it: the text is prefilled again. In float32 the run continues with
the same ids; recorded probabilities can differ in their last digit, since a prefill rounds
differently from tree passes. In half precision near-ties may flip, as between any two ways to
compute them (docs/decisions.md).

A checkpoint may come from anywhere, and can only change its sender's run: ids are
checked against the vocabulary, rows and shapes against k; the model rejects wrong drafts.

Imports no torch.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tr_core.budget.cost_curve import CostCurve
from tr_core.budget.grown_tree_budget import GrownTreeState
from tr_core.budget.template_budget import TemplateState
from tr_core.errors import CheckpointError
from tr_core.settings import Settings
from tr_core.trace import STOP_REASONS
from tr_core.trees import templates

SCHEMA = 2
MAX_BYTES = 50_000_000


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run between two steps.

    Attributes:
        schema: version of this format.
        model: as the visitor chose it.
        tokenizer, vocab_size: of the model; another one's checkpoint is refused.
        settings: how to decode; its tree is a name, a number of nodes or a shape, never a file.
        prompt_ids, output_ids: the text so far.
        steps: made so far.
        learned: whether the drafter has learned from the prompt, as it has with steps made; before,
            the run is to be started.
        stop_reason: why the run has ended, or None.
        rows_seen: rows that held candidates after the prefill.
        drafter: see ``Drafter.state``.
        budget: what it has learned, where the tree is ``auto``.
    """

    schema: int
    model: str
    tokenizer: str
    vocab_size: int
    settings: Settings
    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...] = ()
    steps: int = 0
    learned: bool = False
    stop_reason: str | None = None
    rows_seen: int = 0
    drafter: dict[str, Any] = {}
    budget: TemplateState | GrownTreeState | None = None

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Checkpoint:
        """Read what ``to_json`` wrote.

        Raises:
            CheckpointError: it is no checkpoint, too large, of another schema, or its parts do not
                fit each other.
            SettingsError, TemplateError: its settings are out of range.
        """
        if len(text) > MAX_BYTES:
            raise CheckpointError(
                f"This checkpoint is over {MAX_BYTES // 1_000_000} MB: start the run again."
            )
        try:
            checkpoint = msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise CheckpointError(
                f"This is no complete checkpoint: {error}; start the run again."
            ) from error
        return checkpoint.checked()

    @property
    def curve(self) -> CostCurve | None:
        """What a step cost, as last believed; None without a budget."""
        return self.budget.curve if self.budget is not None else None

    def check_model(self, tokenizer: str, vocab_size: int, max_length: int) -> None:
        """Refuse a model on which this run cannot go on.

        Raises:
            CheckpointError: another tokenizer or width of logits, or a text too long for the model.
        """
        if (self.tokenizer, self.vocab_size) != (tokenizer, vocab_size):
            raise CheckpointError("This checkpoint belongs to another model: start the run again.")
        if len(self.prompt_ids) + len(self.output_ids) > max_length - (self.stop_reason is None):
            raise CheckpointError(
                f"This checkpoint has more tokens than the {max_length:,} that the model takes."
            )

    def checked(self) -> Checkpoint:
        """This checkpoint, if its parts fit each other.

        Raises:
            CheckpointError: they do not, or the run is strict.
        """
        if self.schema != SCHEMA:
            raise CheckpointError(
                f"This checkpoint has schema {self.schema}, this version reads {SCHEMA}: start the"
                " run again."
            )
        ids = (*self.prompt_ids, *self.output_ids)
        if not self.prompt_ids or not all(0 <= i < self.vocab_size for i in ids):
            raise CheckpointError(
                "This checkpoint has no prompt, or token ids outside the model's vocabulary."
            )
        emitted, ended = len(self.output_ids), self.stop_reason is not None
        if not (0 < self.steps <= emitted or 0 == self.steps == emitted):
            raise CheckpointError(
                "This checkpoint is damaged: its steps and its tokens do not fit each other."
            )
        if emitted > self.settings.max_new_tokens - (not ended):
            raise CheckpointError("This checkpoint is damaged: it has more tokens than requested.")
        if ended and self.stop_reason not in STOP_REASONS:
            raise CheckpointError("This checkpoint is damaged: it ended for no known reason.")
        if self.settings.strict:
            raise CheckpointError("A strict run cannot go on elsewhere: run it in one piece.")
        tree = self.settings.tree
        if isinstance(tree, str) and not templates.is_name(tree):
            raise CheckpointError(
                "The tree of a checkpoint must be a name, a number of nodes or a shape."
            )
        return self
