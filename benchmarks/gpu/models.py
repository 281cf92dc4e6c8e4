"""Models of real shapes with random weights, and the steps of one that ``checks.py`` times."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from tests.support import tiny_models
from tr_core import Session, Settings
from tr_core.attention.families import family_of, max_length_of, window_of
from tr_core.attention.grouped_attention import attention_of
from tr_core.attention.kv_cache import GrowingCache
from tr_core.attention.masks import MaskMaker
from tr_core.decoding.static.graphs import Captured, can_capture, graph_pool
from tr_core.decoding.static.run import StaticRun
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.models.loading import wrap
from tr_core.trees import templates
from tr_core.trees.tree import TreeTemplate

# hidden, intermediate, layers, heads, heads of keys and values, vocabulary, tied: as in the cards
# of Qwen2.5.
SHAPES = {
    "0.5B": (896, 4864, 24, 14, 2, 151_936, True),
    "1.5B": (1536, 8960, 28, 12, 2, 151_936, True),
    "7B": (3584, 18_944, 28, 28, 4, 152_064, False),
    "toy": (64, 96, 2, 4, 2, 5000, False),
}


def captured(call: Callable[[], Any], device: torch.device) -> Callable[[], Any]:
    """``call`` as a graph, where the device can."""
    return Captured(call, device, graph_pool(device)) if can_capture(device) else call


class Sized:
    """A Qwen2 of one of ``SHAPES`` with random weights, bfloat16 on a GPU."""

    def __init__(self, shape: str, device: torch.device) -> None:
        hidden, inner, layers, heads, groups, vocabulary, tied = SHAPES[shape]
        self.title = f"{shape} (random weights)"
        self.device = device
        config = AutoConfig.for_model(
            "qwen2",
            hidden_size=hidden,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=groups,
            vocab_size=vocabulary,
            tie_word_embeddings=tied,
            max_position_embeddings=32_768,
        )
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        with device:
            model = AutoModelForCausalLM.from_config(
                config, dtype=dtype, attn_implementation="sdpa"
            )
        self.model = model.eval().requires_grad_(False)
        self.tied = tied
        self.target = wrap(self.model, tiny_models.byte_tokenizer(), shape)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        noise = torch.Generator().manual_seed(0)
        self.prompt = torch.randint(2, min(vocabulary, 90_000), (4096,), generator=noise).tolist()

    def bytes_read(self, cached: int) -> int:
        """The fewest bytes that a one-token step reads: all weights but a looked-up table, keys and
        values.
        """
        weights = sum(p.nbytes for p in self.model.parameters())
        if not self.tied:
            weights -= self.model.get_input_embeddings().weight.nbytes
        config = self.model.config
        width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
        return weights + 2 * config.num_hidden_layers * cached * width * self.model.dtype.itemsize

    def eager(self, cached: int) -> Callable[[TreeTemplate], Callable[[], Any]]:
        """A forward pass over a tree as transformers does it, one kernel after the other, and the
        crop after it.
        """
        ids = torch.tensor([self.prompt[:cached]], device=self.device)
        cache = DynamicCache()
        with torch.inference_mode():
            self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        masks = MaskMaker(family_of(self.model.config), None, self.model.dtype, self.device)

        def of(template: TreeTemplate) -> Callable[[], Any]:
            shape = masks.of_template(template)
            size = template.nodes + 1
            mask, positions = masks.mask(shape, cached), (shape.depths + cached)[None]
            tokens = torch.tensor([self.prompt[:size]], device=self.device)

            @torch.inference_mode()
            def call() -> None:
                logits = self.model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                ).logits
                logits.argmax(dim=-1)
                cache.crop(-size)

            return call

        return of

    def static(
        self, cached: int, attention: str, template: TreeTemplate | None = None, capture: str = "on"
    ) -> StaticRun:
        """Static steps behind ``cached`` tokens, the first one for ``template`` recorded."""
        config = self.model.config
        family = family_of(config)
        run = StaticRun(
            self.model,
            family,
            window_of(config, family),
            max_length_of(config),
            config.vocab_size,
            attention=attention,
        )
        source = GrowingCache()
        with torch.inference_mode():
            ids = torch.tensor([self.prompt[:cached]], device=self.device)
            self.model(input_ids=ids, past_key_values=source, use_cache=True, logits_to_keep=1)
        settings = Settings(tree="paper", capture=capture, trace=False)
        drafter = TokenRecycling(CandidateMatrix(config.vocab_size, settings.k, self.device))
        run.begin(
            source,
            cached,
            self.prompt[cached],
            settings,
            template or templates.paper(),
            drafter,
            None,
            False,
        )
        return run

    @staticmethod
    def back(run: StaticRun, cached: int) -> None:
        """To the length before: steps that are timed must not outgrow their bucket."""
        with torch.inference_mode():
            run.cache.forget_from(cached)

    def forward_only(self, run: StaticRun, template: TreeTemplate) -> Callable[[], Any]:
        """The model's pass as the step does it, captured: the same cache, attention, and mask;
        nothing around it.
        """
        run.recorded(template)  # makes the shape
        step = run.step_of(template)
        state, plan, shape = step.state, step.plan, step.shape
        with torch.inference_mode():
            positions = state.cache.length + shape.depths
            state.cache.claim(plan.width, plan.bucket)
            mask = state.masks(
                step.tails, state.cache.positions[: plan.bucket], state.cache.slots, positions
            )
            tokens = torch.tensor([self.prompt[: plan.width]], device=self.device)

            def call() -> Any:
                with attention_of(self.model, run.attention):
                    return self.model(
                        input_ids=tokens,
                        attention_mask=mask,
                        position_ids=positions[None],
                        past_key_values=state.cache,
                        use_cache=True,
                    ).logits

            played = captured(call, self.device)
        return torch.inference_mode()(played)

    def session(self, template: TreeTemplate, cached: int, trace: bool, real: bool) -> float:
        """Milliseconds of a ``Session.step`` on the host's clock, the median of many."""
        settings = Settings(
            tree=template,
            max_new_tokens=60 if real else 4,
            ignore_eos=True,
            trace=trace,
            capture="on",
            prompt_rows=False,
        )
        if template.nodes == 0:
            settings = dataclasses.replace(settings, drafter="none", tree="chain-4")
        session = Session(self.target, settings).start(self.prompt[: cached + 1])
        times = []
        while session.stop_reason is None:
            began = time.perf_counter()
            session.step()
            times.append((time.perf_counter() - began) * 1e3)
        return sorted(times)[len(times) // 2]

    def memory(self, run: StaticRun) -> dict[str, Any]:
        """Megabytes of weights, static cache and matrix, and the greatest allocated so far."""
        peak = (
            torch.cuda.max_memory_allocated() / 2**20 if self.device.type != "cpu" else float("nan")
        )
        return {
            "weights MiB": sum(p.nbytes for p in self.model.parameters()) / 2**20,
            "cache MiB": run.cache.nbytes / 2**20,
            "rows": run.cache.room,
            "matrix MiB": self.model.config.vocab_size * 8 * 4 / 2**20,
            "peak MiB": peak,
        }
