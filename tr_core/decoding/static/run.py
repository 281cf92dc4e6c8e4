"""Static steps for one target: cache, state on the device, and a captured graph for each plan.

run = target.static(...)                       # prefilled rows taken over, first graph recorded
passed = run.step(template, emitted)           # one read by the host
run.keep((0, 2))                               # fewer nodes than it kept, where the output ended before the path
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedModel

from tr_core.attention.families import Family
from tr_core.attention.grouped_attention import GROUPED, OWN, attention_of, group_size
from tr_core.attention.kv_cache import GrowingCache
from tr_core.attention.static_cache import SMALLEST_BUCKET, StaticCache, bucket_for
from tr_core.attention.static_tree import StaticMask
from tr_core.decoding.readout import Readout, pack
from tr_core.decoding.sampling import Sampled
from tr_core.decoding.static.graphs import Captured, can_capture, compiled, graph_pool
from tr_core.decoding.static.step import Plan, State, StaticStep, run
from tr_core.drafters.base import Drafter
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.plain import Plain
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.settings import Settings
from tr_core.target import Draft
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate
from tr_core.trees.verify import Verdict

# Graphs kept at a time: enough for the trees of a budget in a few buckets.
_GRAPHS = 48
# Tokens of passes over trees that change from step to step: few, since each is a graph, and padding
# costs little.
_WIDTHS = (1, 5, 9, 17, 33, 49, 65, 81)


class NoStaticStep(Exception):
    """This run cannot go through static steps; the text says why. The session then takes the
    ordinary path.
    """


@dataclass(frozen=True)
class Passed:
    """What a static step tells the host: the draft's shape, what was read, and the path."""

    template: TreeTemplate
    host: Readout
    verdict: Verdict


@dataclass(frozen=True)
class _Ready:
    """A step and how it is run: ``call()`` runs it on what its state holds."""

    step: StaticStep
    call: Callable[[], Any]


class StaticRun:
    """Decodes one sequence at a time by static steps; made for a model once, and begun for each
    prompt.

    Args:
        model: set to inference.
        family: of the model. window: see ``families.window_of``. max_length: see
            ``families.max_length_of``.
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
        # Tensors made under inference mode could not be written outside of it, where prompts are
        # observed.
        with torch.inference_mode(False):
            cache = StaticCache(sample, self._device)
            root = torch.zeros(1, dtype=torch.int64, device=self._device)
        group = group_size(model)
        self.attention = attention or (OWN if group is None else GROUPED)
        masks = StaticMask(family, window, model.dtype, 1 if self.attention == OWN else group)
        self._state = State(model, cache, masks, root, max_length)
        self._recyclers: dict[int, TokenRecycling] = {}
        self._on_loan: weakref.ref[CandidateMatrix] | None = None
        self._ready: OrderedDict[tuple[Plan, str], _Ready] = OrderedDict()
        self._pool = graph_pool(self._device)
        self._drafter: Drafter | None = None
        self._settings = Settings()
        self._shifting = self._learns = self._told = False
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
        """Take over a prefilled cache of ``length`` tokens and prepare the first step, whose root
        is given.

        ``shifting``: the template may change from step to step, so its shape comes to the graph as
        tensors.

        Raises:
            NoStaticStep: the model cannot be captured; the source is as it was.
        """
        self._settings, self._drafter, self._sampled, self.length = (
            settings,
            drafter,
            sampled,
            length,
        )
        self._shifting = shifting
        self._learns = drafter.has_matrix
        self._told = settings.trace or drafter.learns
        try:
            with torch.inference_mode():
                self._reserve(length + self._width(template, template))
                self.cache.adopt(source, length)
                self._state.root.fill_(root)
                if _source(drafter) == "matrix":
                    self._borrow(drafter.matrix)
                self._prepare(self._plan(template, template))
        except (
            Exception
        ) as error:  # a model's own code, the compiler and the device can fail in any way
            raise NoStaticStep(_in_a_line(error)) from error

    @property
    def takes_drafts(self) -> bool:
        """Whether drafts are made outside the graph and given to ``step``."""
        return _source(self._drafter) == "outside"

    @torch.inference_mode()
    def step(self, template: TreeTemplate, emitted: int, draft: Draft | None = None) -> Passed:
        """One step; ``emitted`` new tokens stand before it. Its path is kept.

        A ``draft`` made outside the graph has at most the nodes of ``template``; a drafter on the
        device learns here.

        Raises:
            NoStaticStep: this shape or bucket cannot be recorded; nothing has happened, and
                ``released`` gives what was there before.
        """
        shape = draft.template if draft is not None else template
        try:
            self._reserve(self.length + self._width(template, shape))
            plan = self._plan(template, shape)
            ready = self._prepare(plan)
        except Exception as error:  # as in begin
            raise NoStaticStep(_in_a_line(error)) from error
        if draft is not None:
            ready.step.give(shape, draft.tokens, draft.seen)
        elif plan.template is None:
            ready.step.give(shape)
        if plan.sampling is not None:
            ready.step.noise.copy_(self._sampled.noise(emitted, plan.depth + 1, ready.step.noise))
        flat, candidates = ready.call()
        nodes = shape.nodes + 1 if plan.template is None else plan.width
        learned = plan.source == "matrix" and (plan.trace or plan.known)
        if draft is not None and (self._learns or plan.trace):
            learned, flat = self._taught(draft, plan, flat, candidates[:nodes])
        told = flat.cpu().numpy()  # the one copy from device to host
        kept = np.flatnonzero(told[: plan.width]).tolist()
        host = Readout.of(told[plan.width :], plan.parts(nodes, learned), nodes)
        self._kept = len(kept)
        self.length += self._kept
        return Passed(
            plan.template or shape, host, Verdict(tuple(kept[1:]), host.choices[kept[-1]])
        )

    def _taught(
        self, draft: Draft, plan: Plan, flat: torch.Tensor, candidates: torch.Tensor
    ) -> tuple[bool, torch.Tensor]:
        """Let a drafter outside the graph learn; whether it told of rows, and ``flat`` with what it
        told.
        """
        updates = self._drafter.observe(draft, candidates)
        parts = {}
        learned = updates is not None and (plan.trace or plan.known)
        if learned:
            parts = {"writers": updates.writers, "before": updates.before}
        if plan.known:
            choices = flat[3 * plan.width :][
                : len(candidates)
            ].long()  # behind the kept nodes, the tokens, and seen
            parts |= {"known": self._drafter.matrix.known(choices), "firsts": candidates[:, 0]}
        return learned, torch.cat((flat, pack(parts))) if parts else flat

    @torch.inference_mode()
    def recorded(self, template: TreeTemplate) -> Callable[[], Any]:
        """The step itself as it is recorded, without what the host does around it: for benchmarks."""
        return self._prepare(self._plan(template, template)).call

    def step_of(self, template: TreeTemplate) -> StaticStep:
        """What ``recorded`` records."""
        return self._prepare(self._plan(template, template)).step

    @torch.inference_mode()
    def keep(self, nodes: Sequence[int]) -> None:
        """Of the root and the path that the last step kept, keep only the first ``len(nodes)``."""
        if len(nodes) < self._kept:
            self.length -= self._kept - len(nodes)
            self.cache.forget_from(self.length)

    @torch.inference_mode()
    def released(self) -> GrowingCache:
        """The rows of all kept tokens in the order of their positions, in a cache for ordinary
        passes.
        """
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
            k=settings.k if self._told or self._learns else 1,
            trace=self._told,
            known=self._shifting and self._learns,
            sampling=(
                (settings.temperature, settings.top_p, settings.top_k)
                if settings.temperature > 0
                else None
            ),
        )

    def _reserve(self, rows: int) -> None:
        """Room for ``rows``; if the buffers moved, every graph that knows their old place is
        dropped.
        """
        with torch.inference_mode(False):
            if self.cache.reserve(bucket_for(rows, self._smallest_bucket)):
                self._ready.clear()

    def _borrow(self, matrix: CandidateMatrix) -> None:
        """Let a drafter's rows live where the graphs know them; whoever lived there before takes
        its rows along.
        """
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

    def _prepare(self, plan: Plan) -> _Ready:
        """The step of a plan, recorded if this is its first time."""
        key = (plan, self._settings.capture)
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = self._made(plan)
            self.captures += 1
            if len(self._ready) > _GRAPHS:
                self._ready.popitem(last=False)
        else:
            self._ready.move_to_end(key)
        return ready

    def _made(self, plan: Plan) -> _Ready:
        recycler = self._recycler(plan.k) if plan.source == "matrix" else None
        with torch.inference_mode(False):
            step = StaticStep(plan, self._state, recycler, self._sampled, self._vocab_size)

        def plainly() -> Any:
            with attention_of(self._model, self.attention):
                return function()

        def function() -> Any:
            return run(step)

        if self._settings.capture == "compile":
            function = compiled(run, step)
        changing = [self._state.root, self.cache.length, self.cache.positions]
        if recycler is not None:
            changing.append(recycler.matrix.padded)
        saved = [tensor.clone() for tensor in changing]
        try:
            if can_capture(self._device):
                call = Captured(plainly, self._device, self._pool)
            else:
                call = plainly
                call()  # compiles, and shows now and not in the middle of a run whether it works
        finally:
            for tensor, value in zip(changing, saved, strict=True):
                tensor.copy_(value)
        return _Ready(step, call)


def _in_a_line(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _source(drafter: Drafter) -> Literal["matrix", "root", "outside"]:
    """Where the drafts of a drafter come from; only the exact methods that the graph knows run
    inside it.
    """
    if type(drafter) is TokenRecycling:
        return "matrix"
    return "root" if type(drafter) is Plain else "outside"


def _depth(depth: int) -> int:
    """Depths of changing trees, rounded up to 0, 4, 8, 16, 32 …, so that few graphs serve them all."""
    return depth if depth == 0 else max(4, 1 << (depth - 1).bit_length())
