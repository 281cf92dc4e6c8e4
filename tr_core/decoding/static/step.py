"""One step from draft to row update on the device, with shapes that never change.

It reads and writes: the root (the last committed token), the matrix, the cache with its tables,
and, where they come from outside, a draft and sampling noise. It returns everything the host wants
to know as one tensor.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedModel

from tr_core.attention.static_cache import StaticCache
from tr_core.attention.static_tree import Shape, StaticMask, Tails, shape_of, walk
from tr_core.decoding.readout import pack, parts_of
from tr_core.decoding.sampling import Sampled
from tr_core.decoding.top_k import top_in_order
from tr_core.drafters.token_recycling import FILLER, TokenRecycling
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

# Shapes kept as tensors: more than a run of changing trees reuses.
_SHAPES = 256


@dataclass(frozen=True)
class Plan:
    """What a static step is made for: equal plans share a graph.

    Attributes:
        source: where drafts come from: rows of the matrix, nowhere (the root alone), or a drafter
            outside the graph.
        template: the shape; None if each draft brings its own, as tensors.
        width: tokens of a pass, root included; smaller drafts are padded.
        depth: how deep a draft may be.
        bucket: rows of the cache that attention reads.
        k: candidates of a node.
        trace: whether candidates, probabilities and rows leave the device: for a trace, or a
            drafter on the host.
        known: whether what a budget asks of the matrix leaves the device.
        sampling: the values of ``Settings.sampling``; None if greedy.
    """

    source: Literal["matrix", "root", "outside"]
    template: TreeTemplate | None
    width: int
    depth: int
    bucket: int
    k: int
    trace: bool
    known: bool
    sampling: tuple[float, ...] | None

    def parts(self, nodes: int, has_rows: bool) -> dict[str, tuple[int, ...]]:
        """Shape of each part that the host reads, in their order.

        Args:
            nodes: lines of rows from a drafter outside the graph, which are not padded.
            has_rows: whether rows leave the device.
        """
        parts: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("tokens", "seen", "choices"), (self.width,)
        )
        if self.trace:
            parts |= dict.fromkeys(("candidates", "probabilities"), (self.width, self.k))
        rows = nodes if self.source == "outside" else self.width
        if has_rows:
            parts |= {"writers": (rows,), "before": (rows, self.k)}
        if self.known:
            parts |= {"known": (rows,), "firsts": (rows,)}
        return parts


@dataclass(frozen=True)
class State:
    """What all static steps of one model work on.

    Attributes:
        model: the model.
        cache: its static cache.
        masks: of its family.
        root: (1,) int64 on the device, the last committed token.
        max_length: tokens that a sequence of the model may have.
    """

    model: PreTrainedModel
    cache: StaticCache
    masks: StaticMask
    root: torch.Tensor
    max_length: int


class StaticStep:
    """A step for one plan; ``run(step)`` does it.

    Args:
        plan: what it is made for.
        state: what it works on.
        recycler: fills the draft and learns; None if the plan's source is not the matrix.
        sampled: how to sample; None if the plan is greedy.
        vocab_size: width of the logits.

    Attributes:
        tokens: (width,) int64, the draft, if it comes from outside.
        seen: (width,) bool, which of its nodes are no fillers; of a draft from the matrix, which
            are no padding.
        ranks: (width,) int64, of a draft from the matrix whose shape is not fixed.
        shape, tails: of the draft.
        noise: (depth + 1, V) float32, the sampling noise of each depth, if the plan is not greedy.
    """

    def __init__(
        self,
        plan: Plan,
        state: State,
        recycler: TokenRecycling | None,
        sampled: Sampled | None,
        vocab_size: int,
    ) -> None:
        device = state.root.device
        self.plan = plan
        self.state = state
        self.recycler = recycler
        self.sampled = sampled
        self.tokens = torch.full((plan.width,), FILLER, dtype=torch.int64, device=device)
        self.seen = torch.ones(plan.width, dtype=torch.bool, device=device)
        self.ranks = torch.zeros(plan.width, dtype=torch.int64, device=device)
        given = plan.template if plan.template is not None else chain(0)
        self.shape, self.tails, _ = self._tensors(given)
        self._shapes: OrderedDict[TreeTemplate, tuple[Shape, Tails, torch.Tensor]] = OrderedDict()
        self._template = given
        self.levels = (
            recycler.plan(plan.template)
            if recycler is not None and plan.template is not None
            else []
        )
        self.noise: torch.Tensor | None = None
        if sampled is not None:
            self.noise = torch.ones(plan.depth + 1, vocab_size, device=device)

    def give(
        self,
        template: TreeTemplate,
        tokens: torch.Tensor | None = None,
        seen: torch.Tensor | None = None,
    ) -> None:
        """Set the next draft's shape; its (m,) ``tokens`` and ``seen`` if they are from outside.

        m ≤ width; the rest are fillers below the root, which no node sees and none accepts.
        """
        m = template.nodes + 1
        if template != self._template:
            # In place: a graph knows the tensors that it was recorded with.
            shape, tails, ranks = self._known(template)
            for name in ("parents", "depths", "visible", "elder"):
                getattr(self.shape, name).copy_(getattr(shape, name))
            self.tails.full.copy_(tails.full)
            if tails.sliding is not None and self.tails.sliding is not None:
                self.tails.sliding.copy_(tails.sliding)
            self.ranks.copy_(ranks)
            self._template = template
        self.seen[m:] = False
        if tokens is None or seen is None:
            self.seen[:m] = True
        else:
            self.tokens[:m], self.seen[:m] = tokens, seen
            self.tokens[m:] = FILLER

    def _known(self, template: TreeTemplate) -> tuple[Shape, Tails, torch.Tensor]:
        """The tensors of a shape, made once while it keeps coming."""
        if template not in self._shapes:
            self._shapes[template] = self._tensors(template)
            if len(self._shapes) > _SHAPES:
                self._shapes.popitem(last=False)
        self._shapes.move_to_end(template)
        return self._shapes[template]

    def _tensors(self, template: TreeTemplate) -> tuple[Shape, Tails, torch.Tensor]:
        """Shape, tails and ranks, padded."""
        padding = [0] * (self.plan.width - template.nodes - 1)
        parents, ranks = (
            torch.tensor(
                [0, *given[1:], *padding], dtype=torch.int64, device=self.state.root.device
            )
            for given in (template.parents, template.ranks)
        )
        shape = shape_of(parents)
        return shape, self.state.masks.tails(shape), ranks


def run(step: StaticStep) -> tuple[torch.Tensor, torch.Tensor]:
    """Do the step.

    Returns:
        What the host reads, int32: the kept nodes, then the plan's parts; and (width, k) int64
        candidates.

    No control flow depends on a tensor's value, so it can be captured, and compiled to one graph.
    """
    plan, state = step.plan, step.state
    cache = state.cache
    shape, tokens, seen = step.shape, step.tokens, step.seen
    recycler = step.recycler
    if recycler is not None and plan.template is not None:
        tokens, seen = recycler.fill(state.root, step.levels)
    elif recycler is not None:
        tokens, seen = recycler.fill_any(state.root, shape.parents, step.ranks, seen, plan.depth)
    elif plan.source == "root":
        tokens = state.root.clone()  # what is read of it comes after the root has moved on

    positions = cache.length + shape.depths
    cache.claim(plan.width, plan.bucket)
    logits = state.model(
        input_ids=tokens[None],
        attention_mask=state.masks(
            step.tails, cache.positions[: plan.bucket], cache.slots, positions
        ),
        # Nodes too deep for the model's length can never be emitted, but must not read beyond its
        # positions.
        position_ids=positions.clamp(max=state.max_length - 1)[None],
        past_key_values=cache,
        use_cache=True,
    ).logits[0]

    candidates = top_in_order(logits, plan.k)
    choices = candidates[:, 0]
    if step.sampled is not None and step.noise is not None:
        choices = step.sampled.pick(logits.float(), step.noise[shape.depths])
    kept = walk(shape, tokens, seen, choices)
    cache.settle(positions, kept)
    # Breadth-first, the last kept node is the deepest one. Its choice is the bonus, and the next
    # root.
    last = (kept * torch.arange(plan.width, device=kept.device)).amax(dim=0, keepdim=True)
    state.root.copy_(choices[last])

    updates = known = probabilities = None
    if recycler is not None:
        updates = recycler.matrix.overwrite_on_device(tokens, candidates, seen)
        known = recycler.matrix.known(choices) if plan.known else None
    if plan.trace:
        probabilities = logits.softmax(dim=-1, dtype=torch.float32).gather(-1, candidates)
    rows = updates if plan.trace or plan.known else None
    payload = pack(parts_of(tokens, seen, choices, None, candidates, probabilities, rows, known))
    return torch.cat((kept.to(torch.int32), payload)), candidates
