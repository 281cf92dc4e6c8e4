"""One prompt being decoded: ``start`` once, then ``step`` until ``stop_reason`` is set.

The life of a step is told in design.md §4: propose, score, walk, clip, keep, observe, record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from tr_core import numerics, templates
from tr_core.bounds import StopRule, checked_prompt
from tr_core.budget import CostCurve
from tr_core.capture import can_capture
from tr_core.checkpoint import Checkpoint
from tr_core.choice import Greedy, Rules, Sampled
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter, Learned
from tr_core.errors import CheckpointError, SettingsError
from tr_core.growth import MOST
from tr_core.readout import Readout
from tr_core.settings import Settings
from tr_core.static_run import NoStaticStep, StaticRun
from tr_core.strict import Settled, Strict
from tr_core.target import Draft, Target
from tr_core.trace import BudgetChoice, StepTrace, Timing
from tr_core.tree import DraftTree, TreeTemplate
from tr_core.verify import Verdict, walk
from tr_core.watch import Watch
from tr_core.weighing import fixed_template, weighing


class Session:
    """Decodes one prompt with one target, step by step.

    Args:
        target: the model; the session uses its cache alone until it is done (``target.fork()`` gives another).
        settings: how to decode.
        drafter: one that already knows something, for a hot start; a new one by default.
        curve: what steps cost, for a budget; measured by the target by default.
        rules: choose tokens and end the output in place of the settings, which then only say how to draft.

    Raises:
        SettingsError: the settings do not fit the model or the drafter.
        TemplateError: the tree is none, or does not fit k.
        MatrixError: k does not fit the vocabulary.
    """

    def __init__(
        self,
        target: Target,
        settings: Settings | None = None,
        *,
        drafter: Drafter | None = None,
        curve: CostCurve | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.target = target
        self._curve = curve
        self.settings = settings = settings or Settings()
        if settings.k > target.vocab_size:
            raise SettingsError(f"k is {settings.k}, but the model's vocabulary has only {target.vocab_size} tokens.")
        self.drafter = drafter or registry.create(settings.drafter, target.vocab_size, settings.k, target.device)
        if self.drafter.name != settings.drafter:
            raise SettingsError(f"The settings ask for {settings.drafter}, the drafter given is {self.drafter.name}.")
        k = getattr(self.drafter, "k", settings.k)
        if k != settings.k:
            raise SettingsError(f"The matrix has k = {k}, the settings ask for k = {settings.k}: choose the same.")
        self._entry = registry.entry(settings.drafter)
        self.budget, self.growth = weighing(target, settings, curve)
        self.template = templates.chain(0) if self.curve else fixed_template(settings)
        self._choose = Greedy()
        self.rules = rules
        self._strict: Strict | None = None
        self._stop = StopRule(target, settings)
        self.stop_reason: str | None = None
        self.prefill_ms = 0.0
        self.rows_seen = 0
        self.execution = "ordinary"
        self._static: StaticRun | None = None
        self.steps = self.passes = 0
        self.root_known = True
        self._context: list[int] = []
        self._prompt_length = 0

    @property
    def prompt_ids(self) -> list[int]:
        return self._context[: self._prompt_length]

    @property
    def output_ids(self) -> list[int]:
        """New tokens so far, the prompt not included."""
        return self._context[self._prompt_length :]

    @property
    def curve(self) -> CostCurve | None:
        """What a step costs here, where the tree is ``auto``; None elsewhere."""
        weighing = self.budget or self.growth
        return weighing.curve if weighing else None

    def start(self, prompt_ids: Sequence[int]) -> Session:
        """Prefill all of the prompt but its last token, which becomes the first root. Returns the session.

        Raises:
            PromptError: the prompt is empty, or leaves no room for a new token, or has ids outside the vocabulary.
        """
        target, settings = self.target, self.settings
        prompt = checked_prompt(target, prompt_ids)
        self._context, self._prompt_length = prompt, len(prompt)
        self.stop_reason, self.steps, self.passes = None, 0, 0
        began = time.perf_counter()
        self.drafter.begin()
        learn = settings.prompt_rows and (self._entry.has_matrix or self._entry.learns)
        self._read(self._observe_prompt if learn else None)
        self.rows_seen = self.drafter.rows_seen
        self.budget, self.growth = weighing(target, settings, self._curve)
        self.root_known = True
        if self.budget is not None and self._entry.has_matrix:
            root = torch.tensor(prompt[-1:], device=target.device)
            self.root_known = bool(self.drafter.matrix.known(root))
        self.prefill_ms = (time.perf_counter() - began) * 1e3
        if settings.strict:
            shape = self.template if self.template.nodes else templates.paper()  # auto may draft any
            difference = numerics.logit_difference(target, prompt, shape)
            self._strict = Strict(target, numerics.tolerance(difference))
        self._static, self.execution = self._prepared()
        return self

    def resume(self, checkpoint: Checkpoint) -> Session:
        """Go on where ``checkpoint`` was taken, instead of ``start``; one of 0 steps starts. See ``continuation``.

        Raises:
            TokenRecyclingError: it belongs to another model, its parts do not fit each other, or as from ``start``.
        """
        checkpoint.check_model(self.target.vocabulary.fingerprint, self.target.vocab_size, self.target.max_length)
        if checkpoint.drafter:
            self.drafter.restore(checkpoint.drafter)
        if not checkpoint.steps:
            return self.start(checkpoint.prompt_ids)
        for mine, learned in ((self.budget, checkpoint.budget), (self.growth, checkpoint.growth)):
            if (mine is None) != (learned is None):
                raise CheckpointError("This checkpoint is damaged: a budget goes with the tree “auto”.")
            if mine is not None:
                mine.restore(learned)
        self._context = [*checkpoint.prompt_ids, *checkpoint.output_ids]
        self._prompt_length = len(checkpoint.prompt_ids)
        self.steps = self.passes = checkpoint.steps
        self.stop_reason, self.rows_seen = checkpoint.stop_reason, checkpoint.rows_seen
        self.root_known = checkpoint.root_known
        self._read(None)
        self._static, self.execution = self._prepared()
        return self

    def _read(self, observe: Callable[[int, torch.Tensor], None] | None) -> None:
        """Prefill all of the text but its last token, with fresh noise: it starts with the prompt."""
        s = self.settings
        if s.temperature > 0:
            self._choose = Sampled(s.temperature, s.top_p, s.top_k, s.seed, self.target.device)
        self.target.reset()
        self.target.prefill(self._context[:-1], observe)

    def step(self) -> StepTrace:
        """One forward pass and all around it; if strict, one-token passes for a near-tie. Emits at least one token.

        Raises:
            RuntimeError: the session has not started, or has already stopped.
        """
        if not self._context or self.stop_reason is not None:
            raise RuntimeError("step() needs a started session that has not stopped")
        committed, emitted_before = len(self._context), len(self.output_ids)
        watch = Watch(self.target.device, self.settings.trace)

        why = None
        if self.budget is not None:
            self.template, why = self.budget.next(self._context[-1], self.root_known)
        draft = None
        if self._static is None or self._static.takes_drafts:
            draft, why = self._propose(why)
        watch.lap()
        if self._static is not None:
            passed = self._static.step(self.template, emitted_before, draft)
            shape, host, verdict = passed.template, passed.host, passed.verdict
            watch.lap()
            draft_ms, forward_ms, verify_ms, update_ms = 0.0, sum(watch.laps), 0.0, 0.0
        else:
            shape, host = self._ordinary_pass(draft, emitted_before, watch)
            verdict = None
            draft_ms, forward_ms, verify_ms, update_ms = watch.laps

        tree = DraftTree(shape, host.tokens, frozenset(np.flatnonzero(~host.seen).tolist()))
        settled = Settled(verdict or walk(tree, host.choices), host.choices, 0)
        if self._strict:
            settled = self._strict.settle(self._context, tree, settled.verdict, host.choices, host.near)
        verdict = settled.verdict
        verify_ms += watch.lap()
        learned = self._learn(tree, settled, host)
        update_ms += watch.lap()
        emitted = self._clip([*(tree.tokens[n] for n in verdict.path), verdict.bonus])
        path = verdict.path[: len(emitted)]
        bonus = verdict.bonus if len(emitted) > len(path) else None
        cache = self._static or self.target
        # The last emitted token is the next root: its keys and values are not kept, the next pass computes them.
        if settled.passes:
            self.target.rewind(len(self._context) - 1)
        else:
            cache.keep((0, *path)[: len(emitted)])
        verify_ms += watch.lap()

        if self.budget is not None:
            self._inform(tree, verdict, host)
        elif self.growth is not None and draft.expected:
            self.growth.observe(sum(draft.expected[1:]), len(verdict.path))
        traced = self.settings.trace
        self.steps += 1
        self.passes += 1 + settled.passes
        if cache.length != len(self._context) - 1:
            raise RuntimeError(f"cache holds {cache.length} tokens, must hold {len(self._context) - 1}")
        return StepTrace(
            index=self.steps,
            committed=committed,
            tokens=tree.tokens,
            parents=tree.template.parents,
            ranks=tree.template.ranks,
            unseen=tuple(sorted(tree.unseen)),
            choices=settled.choices,
            candidates=host.candidates if traced else (),
            probabilities=host.probabilities if traced else (),
            path=path,
            bonus=bonus,
            emitted=tuple(emitted),
            stop=self.stop_reason,
            rows=learned.rows or (host.rows if traced else ()),
            timing=Timing(draft_ms, forward_ms, verify_ms, update_ms),
            cached=cache.length,
            passes=1 + settled.passes,
            budget=why,
            sources=draft.sources if traced and draft is not None else (),
            expected=tuple(round(e, 4) for e in draft.expected) if traced and draft is not None else (),
            held=learned.held,
        )

    def run(self) -> Iterator[StepTrace]:
        """Step until the session stops. Leave the loop to interrupt it; ``run()`` again goes on."""
        while self.stop_reason is None:
            yield self.step()

    def _propose(self, why: BudgetChoice | None) -> tuple[Draft, BudgetChoice | None]:
        """The next draft, and why it has its size where the tree is ``auto``."""
        if self.growth is None:
            return self.drafter.propose(self._context, self.template), why
        self.growth.begin()
        draft = self.drafter.propose(self._context, templates.chain(MOST), self.growth)
        self.template = draft.template
        return draft, self.growth.choice()

    def _ordinary_pass(self, draft: Draft, emitted_before: int, watch: Watch) -> tuple[TreeTemplate, Readout]:
        """Score, choose, observe: what a static step does in one graph. Takes three laps."""
        entry, traced = self._entry, self.settings.trace
        logits = self.target.score(draft)
        watch.lap()
        if self.rules is not None:
            choices = self.rules.choose(logits, draft)
        else:
            choices = self._choose(logits, draft.template, emitted_before)
        choices = self.target.agree(choices)
        candidates = probabilities = updates = known = None
        if traced or entry.has_matrix or entry.learns:
            candidates = self.target.agree(logits.topk(self.settings.k, dim=-1).indices)
        if traced or entry.learns:
            # Half of logsumexp's time on a CPU.
            probabilities = self.target.agree(logits.softmax(-1).gather(-1, candidates))
        watch.lap()
        if candidates is not None:
            updates = self.drafter.observe(draft, candidates)
        watch.lap()
        if self.budget is not None and entry.has_matrix:
            known = self.drafter.matrix.known(choices)
        near = self.target.agree(self._strict.near(logits)) if self._strict else None
        rows = updates if traced or known is not None else None
        return draft.template, Readout(draft, choices, near, candidates, probabilities, rows, known)

    def _learn(self, tree: DraftTree, settled: Settled, host: Readout) -> Learned:
        """Let a drafter that thinks on the host learn from the pass; what it tells the trace."""
        if not self._entry.learns:
            return Learned()
        path, traced = settled.verdict.path, self.settings.trace
        lesson = host.lesson(self._context, tree.template.parents, settled.choices, path, traced)
        return self.drafter.learn(lesson) or Learned()

    def prepare(self, template: TreeTemplate) -> None:
        """Record the static step of a template before it is needed; where steps are ordinary there is nothing to do."""
        if self._static is not None:
            self._static.recorded(template)

    def _prepared(self) -> tuple[StaticRun | None, str]:
        """Static steps where they are wanted and the model can do them; and what the run's record says of it."""
        if self.settings.capture == "off":
            return None, "ordinary: switched off"
        if self.settings.capture == "auto" and not can_capture(self.target.device):
            return None, f"ordinary: no graphs on {self.target.device.type}"
        if self.rules is not None:
            return None, "ordinary: tokens are chosen one by one, by rules from outside"
        if self.settings.strict:
            return None, "ordinary: strict decoding goes back over what it has scored"
        begin = getattr(self.target, "static", None)
        if begin is None:
            return None, f"ordinary: {self.target.name} has no static step"
        sampled = self._choose if isinstance(self._choose, Sampled) else None
        try:
            static = begin(
                self._context[-1], self.settings, self.template, self.drafter, sampled, self.curve is not None
            )
        except NoStaticStep as reason:
            return None, f"ordinary: {reason}"
        return static, static.how

    def _inform(self, tree: DraftTree, verdict: Verdict, host: Readout) -> None:
        """Tell the budget where each choice on the path stood, and note whether the next root's row is known."""
        nodes = (0, *verdict.path)
        tokens = [tree.tokens[n] for n in nodes]
        if host.known is not None:
            ranks = [host.rank_of_choice(n) for n in nodes]
            self.budget.observe(tokens, ranks, host.written(), self.root_known)
            self.root_known = bool(host.known[nodes[-1]])
        else:
            # No rows: only what was drafted is known, and what stood behind the last node of a chain is not.
            missed = [None] if nodes[-1] < tree.template.nodes else []
            self.budget.observe(tokens, [0] * len(verdict.path) + missed)

    def _observe_prompt(self, offset: int, logits: torch.Tensor) -> None:
        candidates = self.target.agree(logits.topk(self.settings.k, dim=-1).indices)
        if self._entry.learns:
            chances = self.target.agree(logits.softmax(-1).gather(-1, candidates)).cpu().numpy()
            self.drafter.learn_prompt(self._context, offset, candidates.to(torch.int32).cpu().numpy(), chances)
            return
        tokens = torch.tensor(self._context[offset : offset + len(logits)], device=logits.device)
        self.drafter.observe_prompt(tokens, candidates)

    def _clip(self, tokens: list[int]) -> list[int]:
        """Append ``tokens`` to the output as far as plain decoding would have gone, and return that part."""
        for count, token in enumerate(tokens, start=1):
            self._context.append(token)
            new_tokens = len(self._context) - self._prompt_length
            self.stop_reason = self.rules.stop(token) if self.rules else self._stop.reason(self._context, new_tokens)
            if self.stop_reason is not None:
                return tokens[:count]
        return tokens
