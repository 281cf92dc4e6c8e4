"""One prompt being decoded: ``start`` once, then ``step`` until ``stop_reason`` is set.

docs/structure.md has the life of a step: propose, score, walk, clip, keep, observe, record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.budget.template_budget import Budget
from tr_core.decoding import rounding as numerics
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.readout import Readout, is_here
from tr_core.decoding.sampling import Greedy, Rules, Sampled
from tr_core.decoding.sizing import Sizing, fixed_template, is_auto
from tr_core.decoding.static.execution import prepared
from tr_core.decoding.static.run import NoStaticStep, Passed, StaticRun
from tr_core.decoding.step_clock import Watch
from tr_core.decoding.stopping import StopRule, checked_prompt
from tr_core.decoding.strict import Settled, Strict
from tr_core.decoding.top_k import top
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter, Learned
from tr_core.errors import SettingsError
from tr_core.settings import Settings
from tr_core.target import Draft, Target
from tr_core.trace import BudgetChoice, StepTrace, Timing
from tr_core.trees import templates
from tr_core.trees.tree import DraftTree, TreeTemplate
from tr_core.trees.verify import walk


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
                f"The matrix has k = {self.drafter.k}, the settings ask for k = {settings.k}: choose the same."
            )
        self._entry = type(self.drafter)
        self._clock = clock or time.perf_counter
        # What was measured stays where no step tells more: several processes must draft alike and
        # have clocks of their own, and without a trace nobody waits for an accelerator.
        alone = clock is not None or target.clock() is time.perf_counter
        self._learns_costs = alone and Watch.tells(target.device, settings.trace)
        self.sizing = self._new_sizing()
        self.template = templates.chain(0) if self.curve else fixed_template(settings, self._entry)
        self._choose = Greedy()
        self.rules = rules
        self._strict: Strict | None = None
        self._stop = StopRule(target, settings)
        self.stop_reason: str | None = None
        self.prefill_ms = 0.0
        self.rows_seen = self.prompt_rows = 0
        self.execution = "ordinary"
        self._static: StaticRun | None = None
        self.steps = self.passes = 0
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
        return self.sizing.curve

    @property
    def budget(self) -> Budget | None:
        """What chooses the templates, where the tree is ``auto`` and the drafter fills one."""
        return self.sizing.budget

    def start(self, prompt_ids: Sequence[int]) -> Session:
        """Prefill all of the prompt but its last token, which becomes the first root. Returns the
        session.

        Raises:
            PromptError: the prompt is empty, or leaves no room for a new token, or has ids outside
                the vocabulary.
        """
        target, settings = self.target, self.settings
        prompt = checked_prompt(target, prompt_ids)
        self._context, self._prompt_length = prompt, len(prompt)
        self.stop_reason, self.steps, self.passes = None, 0, 0
        began = self._clock()
        self.drafter.begin()
        self.sizing = self._new_sizing()
        places = self.sizing.places_to_learn(prompt[:-1])
        self.prompt_rows = len(places)
        self._read(places)
        self.rows_seen = self.drafter.rows_seen
        if self.budget is not None and self._entry.has_matrix:
            root = torch.tensor(prompt[-1:], device=target.device)
            self.sizing.root_known = bool(self.drafter.matrix.known(root))
        self.prefill_ms = (self._clock() - began) * 1e3
        if settings.strict:
            shape = (
                self.template if self.template.nodes else templates.paper()
            )  # auto may draft any
            difference = numerics.logit_difference(target, prompt, shape)
            self._strict = Strict(target, numerics.tolerance(difference))
        self._static, self.execution = self._prepare_static()
        return self

    def resume(self, checkpoint: Checkpoint) -> Session:
        """Go on where ``checkpoint`` was taken, instead of ``start``; one from before the start
        starts.

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
        self.sizing.restore(checkpoint.budget, checkpoint.growth, checkpoint.root_known)
        self._context = [*checkpoint.prompt_ids, *checkpoint.output_ids]
        self._prompt_length = len(checkpoint.prompt_ids)
        self.steps = self.passes = checkpoint.steps
        self.stop_reason, self.rows_seen = checkpoint.stop_reason, checkpoint.rows_seen
        self._read(())
        self._static, self.execution = self._prepare_static()
        return self

    def _read(self, places: Sequence[int]) -> None:
        """Prefill all of the text but its last token, with fresh noise: it starts with the prompt."""
        s = self.settings
        if s.temperature > 0:
            self._choose = Sampled(s.temperature, s.top_p, s.top_k, s.seed, self.target.device)
        self.target.reset()
        self.target.prefill(self._context[:-1], self._observe_prompt if places else None, places)

    def step(self) -> StepTrace:
        """One forward pass and all around it; if strict, one-token passes for a near-tie. Emits at
        least one token.

        Raises:
            RuntimeError: the session has not started, or has already stopped.
        """
        if not self._context or self.stop_reason is not None:
            raise RuntimeError("step() needs a started session that has not stopped")
        committed, emitted_before = len(self._context), len(self.output_ids)
        watch = Watch(self.target.device, self.settings.trace, self._clock)
        recorded = self._static.captures if self._static is not None else 0

        self.template, why = self.sizing.next(self.template, self._context[-1])
        draft = passed = None
        if self._static is None or self._static.takes_drafts:
            draft, why = self._propose(why)
        watch.lap()
        if self._static is not None:
            passed = self._static_pass(emitted_before, draft)
        if passed is not None:
            shape, host, verdict = passed.template, passed.host, passed.verdict
            watch.lap()
            draft_ms, forward_ms, verify_ms, update_ms = 0.0, sum(watch.laps), 0.0, 0.0
        else:
            if draft is None:  # it would have been made in the graph that could not be recorded
                draft, why = self._propose(why)
            shape, host = self._ordinary_pass(draft, emitted_before, watch)
            verdict = None
            draft_ms, forward_ms, verify_ms, update_ms = watch.laps

        tree = DraftTree(shape, host.tokens, frozenset(np.flatnonzero(~host.seen).tolist()))
        settled = Settled(verdict or walk(tree, host.choices), host.choices, 0)
        if self._strict:
            settled = self._strict.settle(
                self._context, tree, settled.verdict, host.choices, host.near
            )
        verdict = settled.verdict
        verify_ms += watch.lap()
        learned = self._learn(tree, settled, host)
        update_ms += watch.lap()
        emitted = self._clip([*(tree.tokens[n] for n in verdict.path), verdict.bonus])
        path = verdict.path[: len(emitted)]
        bonus = verdict.bonus if len(emitted) > len(path) else None
        cache = self._static or self.target
        # The last emitted token is the next root: its keys and values are not kept, the next pass
        # computes them.
        if settled.passes:
            self.target.rewind(len(self._context) - 1)
        else:
            cache.keep((0, *path)[: len(emitted)])
        verify_ms += watch.lap()

        # What only this step paid for, a graph or the passes of strict decoding, is no cost of its
        # size.
        usual = not settled.passes and (self._static is None or self._static.captures == recorded)
        self.sizing.done(
            tree, verdict, host, draft, watch.total() if usual and self._learns_costs else None
        )
        traced = self.settings.trace
        self.steps += 1
        self.passes += 1 + settled.passes
        if cache.length != len(self._context) - 1:
            raise RuntimeError(
                f"cache holds {cache.length} tokens, must hold {len(self._context) - 1}"
            )
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
            sources=tuple(draft.sources) if traced and draft is not None else (),
            expected=(
                tuple(round(e, 4) for e in draft.expected) if traced and draft is not None else ()
            ),
            held=learned.held,
        )

    def run(self) -> Iterator[StepTrace]:
        """Step until the session stops. Leave the loop to interrupt it; ``run()`` again goes on."""
        while self.stop_reason is None:
            yield self.step()

    def _propose(self, why: BudgetChoice | None) -> tuple[Draft, BudgetChoice | None]:
        """The next draft, and why it has its size where the tree is ``auto``."""
        draft, why = self.sizing.proposed(self.drafter, self._context, self.template, why)
        if self.sizing.growth is not None:
            self.template = draft.template
        return draft, why

    def _ordinary_pass(
        self, draft: Draft, emitted_before: int, watch: Watch
    ) -> tuple[TreeTemplate, Readout]:
        """Score, choose, observe: what a static step does in one graph. Takes three laps."""
        entry, traced = self._entry, self.settings.trace
        logits = self.target.score(draft)
        watch.lap()
        choices = self.rules.choose(logits, draft) if self.rules is not None else None
        candidates = probabilities = updates = known = None
        if traced or entry.has_matrix or entry.learns:
            values, ranked = top(logits, self.settings.k)
            if choices is None and isinstance(self._choose, Greedy) and is_here(logits):
                choices = self._choose.of_best(logits, values, ranked)
            candidates = self.target.agree(ranked)
        if choices is None:
            choices = self._choose(logits, draft.template, emitted_before)
        choices = self.target.agree(choices)
        near = self.target.agree(self._strict.near(logits)) if self._strict else None
        if traced or entry.learns:
            # Half of logsumexp's time on a CPU, and there in place: new memory for wide logits
            # takes longer than sums.
            with torch.inference_mode():
                chances = torch.softmax(logits, -1, out=logits if is_here(logits) else None)
            probabilities = self.target.agree(chances.gather(-1, candidates))
        watch.lap()
        if candidates is not None:
            updates = self.drafter.observe(draft, candidates)
        watch.lap()
        if self.budget is not None and entry.has_matrix:
            known = self.drafter.matrix.known(choices)
        rows = updates if traced or known is not None else None
        return draft.template, Readout(draft, choices, near, candidates, probabilities, rows, known)

    def _learn(self, tree: DraftTree, settled: Settled, host: Readout) -> Learned:
        """Let a drafter that thinks on the host learn from the pass; what it tells the trace."""
        if not self._entry.learns:
            return Learned()
        traced, parents, path = self.settings.trace, tree.template.parents, settled.verdict.path
        lesson = host.lesson(self._context, parents, settled.choices, path, traced)
        return self.drafter.learn(lesson) or Learned()

    def _static_pass(self, emitted_before: int, draft: Draft | None) -> Passed | None:
        """All of it in one graph; None if its graph cannot be recorded, and from then on all passes
        are ordinary.
        """
        try:
            return self._static.step(self.template, emitted_before, draft)
        except NoStaticStep as reason:
            self.target.ordinary()
            self.execution = f"{self._static.how} up to step {self.steps}, then ordinary: {reason}"
            self._static = None
            return None

    def prepare(self, template: TreeTemplate) -> None:
        """Record the static step of a template before it is needed; where steps are ordinary there
        is nothing to do.
        """
        if self._static is not None:
            self._static.recorded(template)

    def _prepare_static(self) -> tuple[StaticRun | None, str]:
        chooses = self.rules or self._choose
        return prepared(
            self.target, self.settings, self._context[-1], self.template, self.drafter, chooses
        )

    def _new_sizing(self) -> Sizing:
        auto = is_auto(self.settings, self._entry)
        curve = (self._curve or self.target.cost_curve(self.settings)) if auto else None
        if isinstance(curve, LiveCurve) and not self._learns_costs:
            curve = curve.curve()
        return Sizing(self.settings, self._entry, curve, self._clock)

    def _observe_prompt(self, places: Sequence[int], logits: torch.Tensor) -> None:
        candidates = self.target.agree(top(logits, self.settings.k)[1])
        if self._entry.learns:
            chances = self.target.agree(logits.softmax(-1).gather(-1, candidates)).cpu().numpy()
            self.drafter.learn_prompt(
                self._context, places[0], candidates.to(torch.int32).cpu().numpy(), chances
            )
            return
        tokens = torch.tensor([self._context[place] for place in places], device=logits.device)
        self.drafter.observe_prompt(tokens, candidates)

    def _clip(self, tokens: list[int]) -> list[int]:
        """Append ``tokens`` to the output as far as plain decoding would have gone, and return that
        part.
        """
        for count, token in enumerate(tokens, start=1):
            self._context.append(token)
            new_tokens = len(self._context) - self._prompt_length
            self.stop_reason = (
                self.rules.stop(token)
                if self.rules
                else self._stop.reason(self._context, new_tokens)
            )
            if self.stop_reason is not None:
                return tokens[:count]
        return tokens
