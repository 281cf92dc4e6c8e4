"""Static steps: the passes of a run, each one captured graph on the device.

    static, execution = static_pass(ordinary, ...)     # None where ordinary passes must do
    scored = static.score(context, template, draft, clock)    # one read by the host

``StaticRun`` holds what a model's static steps share, over all of its prompts: cache, state on the
device, and a graph for each plan. ``StaticPass`` is its side towards one session.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from transformers import PreTrainedModel

from tr_core.attention.families import Family
from tr_core.attention.grouped_attention import GROUPED, OWN, attention_of, group_size
from tr_core.attention.kv_cache import GrowingCache
from tr_core.attention.static_cache import SMALLEST_BUCKET, StaticCache, bucket_for
from tr_core.attention.static_tree import StaticMask
from tr_core.decoding.passes import NoStaticStep, OrdinaryPass, Pass, Scored
from tr_core.decoding.readout import Readout, pack
from tr_core.decoding.sampling import Greedy, Rules, Sampled
from tr_core.decoding.static.graphs import Captured, can_capture, compiled, graph_pool
from tr_core.decoding.static.step import Plan, State, StaticStep, run
from tr_core.decoding.step_clock import StepClock
from tr_core.drafters.base import Drafter
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.plain import Plain
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.settings import Settings
from tr_core.target import Draft, Target
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate, Verdict

# Graphs kept at a time: enough for the trees of a budget in a few buckets.
_GRAPHS = 48
# Tokens of passes over trees that change from step to step: few, since each is a graph, and padding
# costs little.
_WIDTHS = (1, 5, 9, 17, 33, 49, 65, 81)


@runtime_checkable
class StaticTarget(Protocol):
    """A ``Target`` that can hand its cache over to static steps."""

    def static(
        self,
        root: int,
        settings: Settings,
        template: TreeTemplate,
        drafter: Drafter,
        sampled: Sampled | None,
        shifting: bool,
    ) -> StaticRun:
        """Hand the prefilled cache over to static steps, the first of them below ``root``.

        Args:
            root: the prompt's last token.
            settings: of the run.
            template: of the first step.
            drafter: of the run.
            sampled: how to sample; None if the run is greedy.
            shifting: whether the template changes from step to step.

        Raises:
            NoStaticStep: this model cannot be captured; the target is unchanged.
        """
        ...

    def ordinary(self) -> None:
        """Take the cache back from the static steps: the next pass is an ordinary one."""
        ...


def static_pass(
    target: Target,
    settings: Settings,
    template: TreeTemplate,
    drafter: Drafter,
    choose: Greedy | Sampled | Rules,
    context: Sequence[int],
    *,
    shifting: bool,
    ordinary: OrdinaryPass,
    prompt_length: int,
) -> tuple[StaticPass | None, str]:
    """The static pass of a run, or None, and the execution in the run's record.

    Args:
        target: its cache holds ``context`` but the last token.
        settings, template, drafter, choose: of the run.
        context: prompt and output so far.
        shifting: whether the template changes from step to step.
        ordinary: the pass to go on with where no graph can be recorded.
        prompt_length: tokens of the context that are prompt.
    """
    if settings.capture == "off":
        return None, "ordinary: switched off"
    if settings.capture == "auto" and not can_capture(target.device):
        return None, f"ordinary: no graphs on {target.device.type}"
    if not isinstance(choose, Greedy | Sampled):
        return None, "ordinary: tokens are chosen one by one, by rules from outside"
    if settings.strict:
        return None, "ordinary: strict decoding goes back over what it has scored"
    if not isinstance(target, StaticTarget):
        return None, f"ordinary: {target.name} has no static step"
    sampled = choose if isinstance(choose, Sampled) else None
    try:
        run = target.static(context[-1], settings, template, drafter, sampled, shifting)
    except NoStaticStep as reason:
        return None, f"ordinary: {reason}"
    return StaticPass(run, target, ordinary, prompt_length), run.how


class StaticPass:
    """The passes of one session through a ``StaticRun``; see ``Pass``.

    Args:
        run: begun for the session's prompt.
        target: gets its cache back where the run cannot go on.
        ordinary: the pass to go on with then.
        prompt_length: tokens of the context that are prompt.
    """

    def __init__(
        self, run: StaticRun, target: StaticTarget, ordinary: OrdinaryPass, prompt_length: int
    ) -> None:
        self.run = run
        self._target, self._ordinary, self._prompt_length = target, ordinary, prompt_length

    @property
    def needs_draft(self) -> bool:
        return self.run.needs_draft

    @property
    def length(self) -> int:
        return self.run.length

    def prepare(self, template: TreeTemplate) -> None:
        self.run.recorded(template)

    def score(
        self, context: Sequence[int], template: TreeTemplate, draft: Draft | None, clock: StepClock
    ) -> Scored:
        scored = self.run.step(template, len(context) - self._prompt_length, draft)
        clock.end("forward")
        return scored

    def keep(self, nodes: Sequence[int]) -> None:
        self.run.keep(nodes)

    def ordinary(self) -> Pass:
        self._target.ordinary()
        return self._ordinary


@dataclass(frozen=True)
class _Ready:
    """A step and how it is run: ``call()`` runs it on what its state holds."""

    step: StaticStep
    call: Callable[[], Any]


class StaticRun:
    """Decodes one sequence at a time; made for a model once, and begun for each prompt.

    Args:
        model: set to inference.
        family: of the model.
        window: see ``families.window_of``.
        max_length: see ``families.max_length_of``.
        vocab_size: width of the logits.
        attention: ``own`` for the model's own, ``grouped``, or ``split-S``; by default grouped
            where the model lets us.
        smallest_bucket: rows of the smallest bucket.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        family: Family,
        window: int | None,
        max_length: int,
        vocab_size: int,
        *,
        attention: str | None = None,
        smallest_bucket: int = SMALLEST_BUCKET,
    ) -> None:
        self._model = model
        self._device = model.device
        self._vocab_size = vocab_size
        self._smallest_bucket = smallest_bucket
        sample = GrowingCache()
        with torch.inference_mode():
            one = torch.zeros(1, 1, dtype=torch.int64, device=self._device)
            model(
                input_ids=one,
                attention_mask=torch.ones_like(one),
                past_key_values=sample,
                use_cache=True,
            )
        # Prompts are observed outside inference mode, where its tensors could not be written.
        with torch.inference_mode(False):
            cache = StaticCache(sample, self._device)
            root = torch.zeros(1, dtype=torch.int64, device=self._device)
        group = group_size(model)
        self.attention = attention or (OWN if group is None else GROUPED)
        repeats = 1 if group is None or self.attention == OWN else group
        masks = StaticMask(family, window, model.dtype, repeats)
        self._state = State(model, cache, masks, root, max_length)
        self._recyclers: dict[int, TokenRecycling] = {}
        self._on_loan: weakref.ref[CandidateMatrix] | None = None
        self._ready: OrderedDict[tuple[Plan, str], _Ready] = OrderedDict()
        self._pool = graph_pool(self._device)
        self._drafter: Drafter = Plain()
        self._settings = Settings()
        self._shifting = self._reads_candidates = False
        self._sampled: Sampled | None = None
        self._kept = 0
        self.length = 0
        self.captures = 0

    @property
    def cache(self) -> StaticCache:
        return self._state.cache

    @property
    def how(self) -> str:
        """How the steps run, for the run's record."""
        words = ["compiled"] if self._settings.capture == "compile" else []
        words.append("captured graph" if can_capture(self._device) else "static step")
        return f"{', '.join(words)}, {self.attention} attention"

    def begin(
        self,
        source: GrowingCache,
        length: int,
        root: int,
        settings: Settings,
        template: TreeTemplate,
        drafter: Drafter,
        sampled: Sampled | None,
        shifting: bool,
    ) -> None:
        """Take over a prefilled cache of ``length`` tokens and prepare the first step.

        Args:
            source, length: the cache and its tokens.
            root, settings, template, drafter, sampled: see ``StaticTarget.static``.
            shifting: the template may change from step to step, so its shape comes to the graph as
                tensors.

        Raises:
            NoStaticStep: the model cannot be captured; the source is as it was.
        """
        self._settings, self._drafter, self._sampled = settings, drafter, sampled
        self._shifting, self.length = shifting, length
        self._reads_candidates = settings.trace or drafter.learns
        try:
            with torch.inference_mode():
                self._reserve(length + self._width(template, template))
                self.cache.adopt(source, length)
                self._state.root.fill_(root)
                if _source(drafter) == "matrix":
                    self._borrow(drafter.matrix)
        except Exception as error:  # model code, the compiler and the device fail in many ways
            raise NoStaticStep(_in_a_line(error)) from error
        self.recorded(template)

    @property
    def needs_draft(self) -> bool:
        """Whether drafts are made outside the graph and given to ``step``."""
        return _source(self._drafter) == "outside"

    @torch.inference_mode()
    def step(self, template: TreeTemplate, emitted: int, draft: Draft | None = None) -> Scored:
        """One step. Its path is kept; a drafter on the device learns here.

        Args:
            template: the step's shape, or its size.
            emitted: new tokens before the step.
            draft: made outside the graph, of at most the template's nodes.

        Raises:
            NoStaticStep: this shape or bucket cannot be recorded; nothing has happened, and
                ``released`` gives what was there before.
        """
        shape = draft.template if draft is not None else template
        captures = self.captures
        plan, ready = self._prepare(template, shape)
        if draft is not None:
            ready.step.give(shape, draft.tokens, draft.seen)
        elif plan.template is None:
            ready.step.give(shape)
        noise = ready.step.noise
        if noise is not None and self._sampled is not None:
            noise.copy_(self._sampled.noise(emitted, plan.depth + 1, noise))
        packed, candidates = ready.call()
        nodes = shape.nodes + 1 if plan.template is None else plan.width
        has_rows = plan.source == "matrix" and (plan.trace or plan.known)
        if draft is not None and (self._drafter.has_matrix or plan.trace):
            has_rows, packed = self._observed(draft, plan, packed, candidates[:nodes])
        payload = packed.cpu().numpy()  # the one copy from device to host
        kept = np.flatnonzero(payload[: plan.width]).tolist()
        readout = Readout.of(payload[plan.width :], plan.parts(nodes, has_rows), nodes)
        self._kept = len(kept)
        self.length += self._kept
        verdict = Verdict(tuple(kept[1:]), readout.choices[kept[-1]])
        scored = Scored.of(draft, plan.template or shape, readout, verdict)
        return scored if self.captures == captures else replace(scored, usual=False)

    def _observed(
        self, draft: Draft, plan: Plan, packed: torch.Tensor, candidates: torch.Tensor
    ) -> tuple[bool, torch.Tensor]:
        """Let a drafter outside the graph learn on the device.

        Returns:
            Whether it has rows for the host, and ``packed`` with what it adds.
        """
        updates = self._drafter.observe(draft, candidates)
        parts = {}
        has_rows = False
        if updates is not None and (plan.trace or plan.known):
            has_rows, parts = True, {"writers": updates.writers, "before": updates.before}
        if plan.known:
            # The choices come after the kept nodes, the tokens, and seen.
            choices = packed[3 * plan.width :][: len(candidates)].long()
            parts |= {"known": self._drafter.matrix.known(choices), "firsts": candidates[:, 0]}
        return has_rows, torch.cat((packed, pack(parts))) if parts else packed

    @torch.inference_mode()
    def recorded(self, template: TreeTemplate) -> Callable[[], Any]:
        """The step as it is recorded, without what the host does around it.

        Raises:
            NoStaticStep: this shape or bucket cannot be recorded.
        """
        return self._prepare(template, template)[1].call

    def step_of(self, template: TreeTemplate) -> StaticStep:
        """What ``recorded`` records."""
        return self._prepare(template, template)[1].step

    @torch.inference_mode()
    def keep(self, nodes: Sequence[int]) -> None:
        """Of the root and the path that the last step kept, keep only the first ``len(nodes)``."""
        if len(nodes) < self._kept:
            self.length -= self._kept - len(nodes)
            self.cache.forget_from(self.length)

    @torch.inference_mode()
    def released(self) -> GrowingCache:
        """The rows of all kept tokens by position, in a cache for ordinary passes."""
        return self.cache.released()

    def _width(self, template: TreeTemplate, shape: TreeTemplate) -> int:
        """Tokens of a pass for a ``shape`` within the budget of ``template``."""
        source = _source(self._drafter)
        if source == "root":
            return 1
        if source == "matrix" and not self._shifting:
            return shape.nodes + 1
        nodes = max(template.nodes, shape.nodes)
        return next((w for w in _WIDTHS if w > nodes), nodes + 1) if self._shifting else nodes + 1

    def _plan(self, template: TreeTemplate, shape: TreeTemplate) -> Plan:
        settings, source = self._settings, _source(self._drafter)
        width = self._width(template, shape)
        fixed = (
            chain(0)
            if source == "root"
            else shape
            if source == "matrix" and not self._shifting
            else None
        )
        depth = width - 1  # of a draft from outside, which may be a chain
        if source != "outside":
            depth = fixed.depth if fixed is not None else min(depth, _depth(shape.depth))
        return Plan(
            source=source,
            template=fixed,
            width=width,
            depth=depth,
            bucket=bucket_for(self.length + width, self._smallest_bucket),
            k=settings.k if self._reads_candidates or self._drafter.has_matrix else 1,
            trace=self._reads_candidates,
            known=self._shifting and self._drafter.has_matrix,
            sampling=tuple(settings.sampling.values()) or None,
        )

    def _reserve(self, rows: int) -> None:
        """Room for ``rows``; if the buffers move, all graphs that know the old ones are dropped."""
        with torch.inference_mode(False):
            if self.cache.reserve(bucket_for(rows, self._smallest_bucket)):
                self._ready.clear()

    def _borrow(self, matrix: CandidateMatrix) -> None:
        """Move a drafter's rows to where the graphs know them; the rows there before move out."""
        mine = self._recycler(matrix.k).matrix
        before = self._on_loan() if self._on_loan is not None else None
        if before is not None and before is not matrix:
            with torch.inference_mode(False):
                before.move_out(self._recycler(before.k).matrix.padded)
        matrix.move_to(mine.padded)
        self._on_loan = weakref.ref(matrix)

    def _recycler(self, k: int) -> TokenRecycling:
        if k not in self._recyclers:
            with torch.inference_mode(False):
                self._recyclers[k] = TokenRecycling(
                    CandidateMatrix(self._vocab_size, k, self._device)
                )
        return self._recyclers[k]

    def _prepare(self, template: TreeTemplate, shape: TreeTemplate) -> tuple[Plan, _Ready]:
        """The plan of the next step and the step itself, recorded if this is its first time.

        Raises:
            NoStaticStep: it cannot be recorded; nothing has happened.
        """
        try:
            self._reserve(self.length + self._width(template, shape))
            plan = self._plan(template, shape)
            return plan, self._recorded(plan)
        except Exception as error:  # as in begin
            raise NoStaticStep(_in_a_line(error)) from error

    def _recorded(self, plan: Plan) -> _Ready:
        key = (plan, self._settings.capture)
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = self._record(plan)
            self.captures += 1
            if len(self._ready) > _GRAPHS:
                self._ready.popitem(last=False)
        else:
            self._ready.move_to_end(key)
        return ready

    def _record(self, plan: Plan) -> _Ready:
        recycler = self._recycler(plan.k) if plan.source == "matrix" else None
        with torch.inference_mode(False):
            step = StaticStep(plan, self._state, recycler, self._sampled, self._vocab_size)

        compiles = self._settings.capture == "compile"
        function = compiled(run, step) if compiles else partial(run, step)

        def plainly() -> Any:
            with attention_of(self._model, self.attention):
                return function()

        changing = [self._state.root, self.cache.length, self.cache.positions]
        if recycler is not None:
            changing.append(recycler.matrix.padded)
        saved = [tensor.clone() for tensor in changing]
        try:
            call: Callable[[], Any] = plainly
            if can_capture(self._device):
                call = Captured(plainly, self._device, self._pool)
            else:
                call()  # compiles, and shows now and not in the middle of a run whether it works
        finally:
            for tensor, value in zip(changing, saved, strict=True):
                tensor.copy_(value)
        return _Ready(step, call)


def _in_a_line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _source(drafter: Drafter) -> Literal["matrix", "root", "outside"]:
    """Where a drafter's drafts come from; a graph knows the two methods themselves, no subclass."""
    if type(drafter) is TokenRecycling:
        return "matrix"
    return "root" if type(drafter) is Plain else "outside"


def _depth(depth: int) -> int:
    """Depths of changing trees, rounded up to 0, 4, 8, 16, 32 …, so that few graphs serve all."""
    return depth if depth == 0 else max(4, 1 << (depth - 1).bit_length())
