"""A transformers causal language model as a ``Target``.

target = load_target("assets/models/pocket")
target.prefill(ids[:-1])
logits = target.score(draft)          # one pass over the whole tree
target.keep((0, 2, 5))                # the root and the accepted path stay in the cache
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StopStringCriteria
from transformers.cache_utils import Cache

from tr_core.attention.families import Family
from tr_core.attention.kv_cache import GrowingCache
from tr_core.attention.masks import Geometry, MaskMaker
from tr_core.budget.cost_curve import LiveCurve
from tr_core.decoding.measure_cost import CostBook
from tr_core.decoding.sampling import Sampled
from tr_core.decoding.static.run import NoStaticStep, StaticRun
from tr_core.drafters.base import Drafter
from tr_core.errors import SettingsError
from tr_core.models import memory
from tr_core.models.distributed import ProcessGroup
from tr_core.models.packed_weights import packed
from tr_core.models.plain_generate import plain_ids
from tr_core.models.vocabulary import TokenizerVocabulary
from tr_core.settings import Settings
from tr_core.target import Draft, Observe
from tr_core.trees.tree import TreeTemplate

PREFILL_TOKENS = 512
PREFILL_BYTES = 256 * 2**20
# Geometries kept by a target: enough for every named tree, few enough for a drafter that makes a
# new shape a step.
_GEOMETRIES = 32


@dataclass(frozen=True)
class Loaded:
    """What all forks of a target share.

    Nothing in it changes but the book of costs, which has a lock.

    ``runner`` makes the passes: ``model`` itself, or its packed copy (``packed_weights``).
    """

    model: PreTrainedModel
    runner: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    vocabulary: TokenizerVocabulary | None
    family: Family
    name: str
    vocab_size: int
    max_length: int
    eos_ids: frozenset[int]
    masks: MaskMaker
    device: torch.device
    slices_logits: bool
    costs: CostBook
    processes: ProcessGroup
    devices: str
    whole: bool


class HFTarget:
    """A transformers model with one sequence in its cache; see ``Target`` for the attributes.

    Made by ``loading.load_target`` or ``loading.wrap``. Nothing that forks share is written while
    they run.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.name = loaded.name
        self.family = loaded.family.name
        self.vocab_size = loaded.vocab_size
        self.max_length = loaded.max_length
        self.eos_ids = loaded.eos_ids
        self.device = loaded.device
        self.devices = loaded.devices
        self.dtype = loaded.model.dtype
        self.attention = loaded.model.config._attn_implementation
        self._geometries: OrderedDict[TreeTemplate, Geometry] = OrderedDict()
        self._cache = GrowingCache()
        self._static: StaticRun | None = None
        self._length = 0
        self._scored = 0

    @property
    def vocabulary(self) -> TokenizerVocabulary:
        """The model's tokenizer.

        Raises:
            RuntimeError: the target was built without one.
        """
        if self._loaded.vocabulary is None:
            raise RuntimeError("this target was built without a tokenizer")
        return self._loaded.vocabulary

    @property
    def length(self) -> int:
        """Tokens whose keys and values are in the cache."""
        return self._length

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that every pass reads."""
        return memory.weight_bytes(self._loaded.model)

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values per token, over all processes; 0 on an empty cache."""
        return memory.cache_bytes_per_token(self._cache) * self._loaded.processes.size

    def fork(self) -> HFTarget:
        """The same weights with an empty cache of its own."""
        return HFTarget(self._loaded)

    def moved(self, device: torch.device | str) -> HFTarget:
        """The same weights, moved to another device; earlier forks become unusable."""
        loaded = self._loaded
        model: PreTrainedModel = loaded.model.to(device)  # type: ignore[arg-type]  # its decorator
        masks = MaskMaker(loaded.family, loaded.masks.window, model.dtype, model.device)
        return HFTarget(
            dataclasses.replace(
                loaded, model=model, runner=packed(model), masks=masks, costs=CostBook()
            )
        )

    def reset(self) -> None:
        """Empty the cache; a ``score`` without its ``keep`` is forgotten too."""
        self._cache.reset()
        self._length = self._scored = 0

    def prefill(
        self,
        ids: Sequence[int],
        observe: Observe | None = None,
        positions: Sequence[int] | None = None,
    ) -> None:
        """Append ``ids`` to the cache, in chunks whose float32 logits stay under 256 MiB.

        Args:
            ids: token ids.
            observe: gets the positions within ``ids`` of a chunk and their float32 logits (n, V).
            positions: those to observe, rising; all by default.

        Raises:
            RuntimeError: a scored draft waits for ``keep``, or the ids do not fit the model's
                length.
        """
        self._check_no_score("prefill")
        if self._length + len(ids) > self.max_length:
            raise RuntimeError(
                f"{self._length} + {len(ids)} tokens do not fit a model of {self.max_length}"
            )
        chunk = max(1, min(PREFILL_TOKENS, PREFILL_BYTES // (4 * self.vocab_size)))
        tokens = torch.tensor(ids, dtype=torch.int64, device=self.device)
        for offset in range(0, len(ids), chunk):
            part = tokens[offset : offset + chunk]
            end = offset + len(part)
            observed: Sequence[int] = range(offset, end) if observe is not None else ()
            if positions is not None:
                observed = positions[bisect_left(positions, offset) : bisect_left(positions, end)]
            wanted = None
            # On the host: a split model may have its last layer on another device than its first.
            if len(observed) < len(part):
                wanted = torch.tensor(
                    [position - offset for position in observed], dtype=torch.int64
                )
            logits = self._forward(part, self._loaded.masks.of_chain(len(part)), wanted)
            self._length += len(part)
            if observed and observe is not None:
                observe(observed, logits)

    def score(self, draft: Draft) -> torch.Tensor:
        """One forward pass over a draft: float32 logits (N + 1, V).

        Each node comes after its ancestors and the cache.

        Raises:
            RuntimeError: the last scored draft waits for ``keep``, or the cache is at the model's
                maximum length.
        """
        self._check_no_score("score")
        if self._length >= self.max_length:
            raise RuntimeError(
                f"the cache holds {self._length} tokens, all that the model can take"
            )
        logits = self._forward(draft.tokens, self._geometry(draft.template))
        self._scored = len(draft.tokens)
        return logits

    def keep(self, nodes: Sequence[int]) -> None:
        """Append the keys and values of ``nodes`` and drop all others.

        ``nodes`` is the root, then the accepted path, rising.

        Raises:
            RuntimeError: no draft was scored, or ``nodes`` are not its root and rising nodes of it.
        """
        nodes = tuple(nodes)
        if not self._scored:
            raise RuntimeError("keep() needs a scored draft")
        rising = all(a < b for a, b in pairwise(nodes))
        if not nodes or nodes[0] != 0 or nodes[-1] >= self._scored or not rising:
            raise RuntimeError(
                f"keep() needs the root and rising nodes below {self._scored}, got {nodes}"
            )
        with torch.inference_mode():
            self._cache.keep(self._length, nodes)
        self._length += len(nodes)
        self._scored = 0

    def rewind(self, length: int) -> None:
        """Forget all cached tokens but the first ``length``, and a ``score`` without its ``keep``.

        Raises:
            RuntimeError: the cache does not hold as many.
        """
        if length > self._length:
            raise RuntimeError(
                f"the cache holds {self._length} tokens, so it cannot go back to {length}"
            )
        with torch.inference_mode():
            self._cache.keep(length, ())
        self._length, self._scored = length, 0

    def static(
        self,
        root: int,
        settings: Settings,
        template: TreeTemplate,
        drafter: Drafter,
        sampled: Sampled | None,
        shifting: bool,
    ) -> StaticRun:
        """Move the prefilled cache to static steps, which start from the token ``root``.

        ``shifting``: whether the template changes from step to step.

        Raises:
            NoStaticStep: this model cannot be captured; the target is unchanged.
        """
        loaded = self._loaded
        if not loaded.whole:
            raise NoStaticStep("the model is split over several devices")
        if self._static is None:
            window = loaded.masks.window
            self._static = StaticRun(
                loaded.model, loaded.family, window, self.max_length, self.vocab_size
            )
        self._static.begin(
            self._cache, self._length, root, settings, template, drafter, sampled, shifting
        )
        self._cache, self._length = GrowingCache(), 0
        return self._static

    def copy_cache(self, into: Cache) -> None:
        """Copy the cache into an empty one of transformers."""
        for number, layer in enumerate(self._cache.layers):
            if layer.is_initialized:
                into.update(layer.keys.clone(), layer.values.clone(), number)

    def ordinary(self) -> None:
        """Take the cache back from the static steps under way: the next pass is an ordinary one."""
        assert self._static is not None, "static steps are under way"
        self._cache, self._length = self._static.released(), self._static.length

    def agree(self, tensor: torch.Tensor) -> torch.Tensor:
        """The first process's ``tensor``; with a single process, ``tensor`` itself."""
        return self._loaded.processes.agree(tensor, self.device)

    def clock(self) -> Callable[[], float]:
        """A clock with the same time in all processes of this model."""
        return self._loaded.processes.clock(self.device)

    def cost_curve(self, settings: Settings) -> LiveCurve:
        """A step's cost by its draft nodes under ``settings``; measured once for all forks."""
        return self._loaded.costs.curve(self, settings)

    def stopper(self, strings: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        """Whether the ids so far, prompt included, end with one of ``strings``, as in ``generate``.

        Raises:
            SettingsError: a string is empty, or no tokens of this model can write it.
        """
        if not strings or not all(strings):
            raise SettingsError("A stop string must not be empty.")
        try:
            criteria = StopStringCriteria(self.vocabulary.tokenizer, list(strings))
        except ValueError as error:
            raise SettingsError(
                "A stop string has characters that this model's tokens cannot write."
            ) from error

        def stopped(ids: Sequence[int]) -> bool:
            tail = list(ids[-criteria.maximum_token_len :])
            return bool(criteria(torch.tensor([tail]), None)[0])

        return stopped

    def plain_ids(
        self,
        prompt_ids: Sequence[int],
        settings: Settings,
        *,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[int] | None:
        """New token ids of transformers' own ``generate`` under ``settings``: the referee.

        The target's cache is not touched.

        Args:
            prompt_ids: the prompt's token ids.
            settings: the limit of new tokens, sampling and stops are read.
            cancelled: called after each token; once it returns true, the result is None.
        """
        return plain_ids(
            self._loaded.model,
            self._loaded.tokenizer,
            prompt_ids,
            settings,
            max_new_tokens=min(settings.max_new_tokens, self.max_length - len(prompt_ids)),
            eos_ids=() if settings.ignore_eos else self.eos_ids,
            cancelled=cancelled,
        )

    def _check_no_score(self, verb: str) -> None:
        if self._scored:
            raise RuntimeError(f"{verb}() needs the scored draft to be kept first")

    def _geometry(self, template: TreeTemplate) -> Geometry:
        geometry = self._geometries.get(template)
        if geometry is None:
            geometry = self._geometries[template] = self._loaded.masks.of_template(template)
            if len(self._geometries) > _GEOMETRIES:
                self._geometries.popitem(last=False)
        else:
            self._geometries.move_to_end(template)
        return geometry

    @torch.inference_mode()
    def _forward(
        self, tokens: torch.Tensor, shape: Geometry, wanted: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Run (n,) tokens of a shape after the cache: float32 logits (n, V).

        With ``wanted`` (m,) only those, (m, V); with none wanted (1, V) of the last, since models
        take no less.
        """
        # Nodes too deep for the model's length can never be emitted, but must not read beyond its
        # positions.
        positions = (shape.depths + self._length).clamp_(max=self.max_length - 1)
        fewer: dict[str, Any] = {}
        if wanted is not None and self._loaded.slices_logits:
            fewer, wanted = {"logits_to_keep": wanted if len(wanted) else 1}, None
        output = self._loaded.runner(
            input_ids=tokens[None],
            attention_mask=self._loaded.masks.mask(shape, self._length),
            position_ids=positions[None],
            past_key_values=self._cache,
            use_cache=True,
            **fewer,
        )
        logits = output.logits[0] if wanted is None else output.logits[0, wanted]
        return logits.to(torch.float32)  # as `generate` does before it takes the argmax
