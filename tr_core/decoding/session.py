"""One prompt being decoded: ``start`` once, then ``step`` until ``stop_reason`` is set.

``Session.step`` is the life of a step in eight sentences; docs/structure.md has the map.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import torch

from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.decoding import rounding
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.passes import NoStaticStep, OrdinaryPass, Pass, Scored
from tr_core.decoding.sampling import Greedy, Rules, Sampled
from tr_core.decoding.sizing import Sizing, fixed_template, is_auto
from tr_core.decoding.static.run import static_pass
from tr_core.decoding.step_clock import StepClock
from tr_core.decoding.step_trace import step_trace
from tr_core.decoding.stopping import StopRule, checked_prompt
from tr_core.decoding.strict import StrictPass
from tr_core.decoding.top_k import top
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter, Learned
from tr_core.errors import SettingsError
from tr_core.settings import Settings
from tr_core.target import Draft, Target
from tr_core.trace import StepTrace
from tr_core.trees import templates
from tr_core.trees.tree import TreeTemplate


class Session:
    """Decodes one prompt with one target, step by step.

    Args:
        target: the model; the session uses its cache alone until it is done (``target.fork()``
            gives another).
        settings: how to decode.
        drafter: one that already knows something, for a hot start; a new one by default.
        curve: what steps cost, for a budget, as fixed; measured by the target and learned from
            steps by default.
        rules: choose tokens and end the output in place of the settings, which then only say how to
            draft.
        clock: seconds.

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
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.target = target
        self._curve = curve
        self.settings = settings = settings or Settings()
        if settings.k > target.vocab_size:
            raise SettingsError(
                f"k is {settings.k}, but the model's vocabulary has only {target.vocab_size}"
                " tokens."
            )
        self.drafter = drafter or registry.create(
            settings.drafter, target.vocab_size, settings.k, target.device
        )
        if self.drafter.name != settings.drafter:
            raise SettingsError(
                f"The settings ask for {settings.drafter}, the drafter given is"
                f" {self.drafter.name}."
            )
        if self.drafter.k not in (None, settings.k):
            raise SettingsError(
                f"The matrix has k = {self.drafter.k}, the settings ask for k = {settings.k}:"
                " choose the same."
            )
        self._clock = clock or time.perf_counter
        # Costs stay as measured where steps cannot correct them: several processes must draft alike
        # and have clocks of their own, and without a trace the host does not wait for the device.
        alone = clock is not None or target.clock() is time.perf_counter
        self._learns_costs = alone and StepClock.times_device(target.device, settings.trace)
        self.sizing = self._new_sizing()
        kind = type(self.drafter)
        self._template = templates.chain(0) if self.curve else fixed_template(settings, kind)
        self.rules = rules
        self._stop = StopRule(target, settings, rules)
        self.stop_reason: str | None = None
        self.prefill_ms = 0.0
        self.rows_seen = self.prompt_rows = 0
        self.execution = "ordinary"
        self.steps = self.passes = 0
        self._context: list[int] = []
        self._prompt_length = 0
        self._pass: Pass = OrdinaryPass(target, self.drafter, settings, Greedy(), 0)

    @property
    def prompt_ids(self) -> list[int]:
        return self._context[: self._prompt_length]

    @property
    def output_ids(self) -> list[int]:
        """New tokens so far, the prompt not included."""
        return self._context[self._prompt_length :]

    @property
    def template(self) -> TreeTemplate:
        """The shape, or the size, of the last draft; before the first, what the settings name."""
        return self._template

    @property
    def curve(self) -> CostCurve | None:
        """What a step costs here, where the tree is ``auto``; None elsewhere."""
        return self.sizing.curve

    def start(self, prompt_ids: Sequence[int]) -> Session:
        """Prefill all of the prompt but its last token, which becomes the first root.

        Returns:
            The session.

        Raises:
            PromptError: the prompt is empty, or leaves no room for a new token, or has ids outside
                the vocabulary.
        """
        prompt = checked_prompt(self.target, prompt_ids)
        self._context, self._prompt_length = prompt, len(prompt)
        self.stop_reason, self.steps, self.passes = None, 0, 0
        began = self._clock()
        self.drafter.begin()
        self.sizing = self._new_sizing()
        positions = self.sizing.positions_to_learn(prompt[:-1])
        self.prompt_rows = len(positions)
        self._prefill(positions)
        self.rows_seen = self.drafter.rows_seen
        if self.sizing.needs_rows:
            root = torch.tensor(prompt[-1:], device=self.target.device)
            self.sizing.start(bool(self.drafter.matrix.known(root)))
        self.prefill_ms = (self._clock() - began) * 1e3
        self._choose_pass()
        return self

    def resume(self, checkpoint: Checkpoint) -> Session:
        """Go on from ``checkpoint``, instead of ``start``; one from before the start starts.

        Raises:
            TokenRecyclingError: it belongs to another model, its parts do not fit each other, or as
                from ``start``.
        """
        checkpoint.check_model(
            self.target.vocabulary.fingerprint, self.target.vocab_size, self.target.max_length
        )
        if checkpoint.drafter:
            self.drafter.restore(checkpoint.drafter, checkpoint.prompt_ids, checkpoint.output_ids)
        if not (checkpoint.learned or checkpoint.steps):
            return self.start(checkpoint.prompt_ids)
        self.sizing.restore(checkpoint.budget)
        self._context = [*checkpoint.prompt_ids, *checkpoint.output_ids]
        self._prompt_length = len(checkpoint.prompt_ids)
        self.steps = self.passes = checkpoint.steps
        self.stop_reason, self.rows_seen = checkpoint.stop_reason, checkpoint.rows_seen
        self._prefill(())
        self._choose_pass()
        return self

    def use(self, template: TreeTemplate) -> None:
        """Draft this shape from the next step on; only where the settings' tree is not ``auto``.

        Where steps are static, its graph is recorded now; if that fails, the step finds out too.
        """
        self._template = template
        with suppress(NoStaticStep):
            self._pass.prepare(template)

    def step(self) -> StepTrace:
        """One forward pass and all around it; emits at least one token.

        Raises:
            RuntimeError: the session has not started, or has already stopped.
        """
        if not self._context or self.stop_reason is not None:
            raise RuntimeError("step() needs a started session that has not stopped")
        clock = StepClock(self.target.device, self.settings.trace, self._clock)
        committed = len(self._context)
        # 1. The drafter guesses a tree of next tokens below the last one.
        self._template = self.sizing.next(self._template, self._context[-1])
        draft = self._draft(clock)
        # 2. One forward pass scores all of its nodes; a drafter on the device learns from them.
        # 3. The walk follows the model's own choices down the tree: the path, and a bonus token.
        scored = self._score(draft, clock)
        why = self.sizing.choice
        # 4. A drafter on the host learns from every node, rejected ones too.
        learned = self._learn(scored)
        clock.end("update")
        # 5. Path and bonus are emitted, up to where plain decoding would have stopped.
        emitted, self.stop_reason = self._stop.extend(
            self._context, self._prompt_length, scored.tokens
        )
        # 6. The cache keeps the root and the path. The last emitted token is the next root: its
        #    keys and values come with the next pass.
        self._pass.keep((0, *scored.verdict.path)[: len(emitted)])
        if (cached := self._pass.length) != len(self._context) - 1:
            raise RuntimeError(f"cache holds {cached} tokens, must hold {len(self._context) - 1}")
        clock.end("verify")
        # 7. Sizes of later drafts learn from what this one cost and brought.
        ms = clock.total() if scored.usual and self._learns_costs else None
        self.sizing.observe(scored.tree, scored.verdict, scored.readout, scored.draft, ms)
        self.steps, self.passes = self.steps + 1, self.passes + scored.passes
        # 8. All of it becomes one record.
        return step_trace(
            scored, emitted, learned, index=self.steps, committed=committed, cached=cached,
            stop=self.stop_reason, why=why, timing=clock.timing(), traced=self.settings.trace,
        )  # fmt: skip

    def run(self) -> Iterator[StepTrace]:
        """Step until the session stops; leave the loop to interrupt, ``run()`` again to resume."""
        while self.stop_reason is None:
            yield self.step()

    def _draft(self, clock: StepClock) -> Draft | None:
        """The next draft; None if the pass makes its own."""
        if not self._pass.needs_draft:
            return None
        draft = self.sizing.propose(self.drafter, self._context, self._template)
        if self.drafter.grows and self.curve is not None:
            self._template = draft.template
        clock.end("draft")
        return draft

    def _score(self, draft: Draft | None, clock: StepClock) -> Scored:
        """The pass over a draft.

        A static pass that cannot record a shape is replaced by an ordinary one, for good.
        """
        try:
            return self._pass.score(self._context, self._template, draft, clock)
        except NoStaticStep as reason:
            self._pass = self._pass.ordinary()
            self.execution += f" up to step {self.steps}, then ordinary: {reason}"
            return self._score(draft or self._draft(clock), clock)

    def _learn(self, scored: Scored) -> Learned:
        """Let a drafter on the host learn from the pass; returns its part of the trace."""
        if not self.drafter.learns:
            return Learned()
        lesson = scored.readout.lesson(
            self._context,
            scored.tree.template.parents,
            scored.choices,
            scored.verdict.path,
            self.settings.trace,
        )
        return self.drafter.learn(lesson)

    def _new_sizing(self) -> Sizing:
        auto = is_auto(self.settings, type(self.drafter))
        curve = (self._curve or self.target.cost_curve(self.settings)) if auto else None
        if isinstance(curve, LiveCurve) and not self._learns_costs:
            curve = curve.curve()
        return Sizing(self.settings, type(self.drafter), curve, self._clock)

    def _prefill(self, positions: Sequence[int]) -> None:
        """Prefill the text but its last token; the drafter learns from ``positions``, if any."""
        self.target.reset()
        observe = self._observe_prompt if positions else None
        self.target.prefill(self._context[:-1], observe, positions)

    def _observe_prompt(self, positions: Sequence[int], logits: torch.Tensor) -> None:
        candidates = self.target.agree(top(logits, self.settings.k)[1])
        if self.drafter.learns:
            chances = self.target.agree(logits.softmax(-1).gather(-1, candidates)).cpu().numpy()
            ids = candidates.to(torch.int32).cpu().numpy()
            self.drafter.learn_prompt(self._context, positions[0], ids, chances)
            return
        tokens = torch.tensor([self._context[p] for p in positions], device=logits.device)
        self.drafter.observe_prompt(tokens, candidates)

    def _choose_pass(self) -> None:
        """The pass of all steps to come; the prompt is in the cache."""
        target, s, tolerance = self.target, self.settings, None
        choose: Greedy | Sampled | Rules = self.rules or Greedy()
        if self.rules is None and s.temperature > 0:
            choose = Sampled(s, target.device)
        if s.strict:
            # A tree that is auto may come to any shape.
            shape = self._template if self._template.nodes else templates.paper()
            difference = rounding.logit_difference(target, self._context, shape)
            tolerance = rounding.tolerance(difference)
        ordinary = OrdinaryPass(
            target, self.drafter, s, choose, self._prompt_length,
            weighs_rows=self.sizing.needs_rows, tolerance=tolerance,
        )  # fmt: skip
        self._pass = StrictPass(target, ordinary) if s.strict else ordinary
        static, self.execution = static_pass(
            target, s, self._template, self.drafter, choose, self._context,
            shifting=is_auto(s, type(self.drafter)), ordinary=ordinary,
            prompt_length=self._prompt_length,
        )  # fmt: skip
        if static is not None:
            self._pass = static
