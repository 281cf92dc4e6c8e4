"""A tree scored in one pass must equal each of its paths run plainly, on every family, and the
cache must stay true.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch

from tests.support import tiny_models as tiny
from tr_core.attention.families import FAMILIES, Family, family_of, max_length_of
from tr_core.attention.kv_cache import FIRST_CAPACITY, GrowingCache
from tr_core.attention.masks import MaskMaker
from tr_core.decoding import rounding as numerics
from tr_core.errors import ModelError, SettingsError, UnsupportedModelError
from tr_core.models import packed_weights as packing
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import wrap
from tr_core.models.packed_weights import PackedLinear, packed
from tr_core.settings import Settings
from tr_core.target import Draft
from tr_core.trees.templates import chain, paper
from tr_core.trees.tree import TreeTemplate

# Deeper than the window of 8, with branches at several depths and a node whose only child is of
# rank 1.
TREE = TreeTemplate.from_paths(
    "test",
    [
        [0],
        [1],
        [2],
        [0, 0],
        [0, 1],
        [1, 1],
        *([0] * n for n in range(3, 11)),
        [0, 0, 1],
        [0] * 9 + [1],
    ],
)
CLOSE = {"rtol": 0, "atol": 5e-5}


def draft(template: TreeTemplate, seed: int) -> Draft:
    """Random tokens in a shape, siblings apart."""
    tokens = (
        torch.randperm(tiny.VOCAB - 2, generator=torch.Generator().manual_seed(seed))[
            : len(template.parents)
        ]
        + 2
    )
    return Draft(template, tokens, torch.ones(len(tokens), dtype=torch.bool))


def plain_logits(target: HFTarget, ids: list[int]) -> torch.Tensor:
    """(V,) logits after ``ids``, by the bare model with neither cache nor mask of ours."""
    with torch.inference_mode():
        tokens = torch.tensor([ids])
        return target._loaded.model(
            input_ids=tokens, attention_mask=torch.ones_like(tokens)
        ).logits[0, -1]


def path_to(template: TreeTemplate, node: int) -> list[int]:
    return [n for n in range(node + 1) if template.ancestor_mask[node, n]]


def check_every_node(target: HFTarget, context: list[int], drafted: Draft) -> torch.Tensor:
    """Score a draft behind ``context`` and compare each node with its path run plainly."""
    scored = target.score(drafted)
    assert scored.shape == (len(drafted.tokens), target.vocab_size)
    assert scored.dtype == torch.float32
    for node in range(len(drafted.tokens)):
        path = [int(drafted.tokens[n]) for n in path_to(drafted.template, node)]
        torch.testing.assert_close(scored[node], plain_logits(target, context + path), **CLOSE)
    return scored


@pytest.mark.parametrize(("family", "attention"), tiny.CASES)
def test_each_node_of_a_tree_sees_what_plain_decoding_would_see(
    family: str, attention: str
) -> None:
    target = tiny.target(family, attention)
    assert target.attention == attention
    context = list(range(3, 16))
    target.prefill(context)
    # Three steps behind each other: a branch kept, nothing but the root kept, a straight path kept.
    for step, kept in enumerate(([0, 1, 5], [0], [0, 1, 4, 7, 9])):
        drafted = draft(TREE, seed=step)
        check_every_node(target, context, drafted)
        target.keep(kept)
        context += [int(drafted.tokens[n]) for n in kept]
        assert target.length == len(context)


def test_every_listed_family_has_a_tiny_model_and_no_model_is_unlisted() -> None:
    assert set(tiny.CONFIGS) == set(FAMILIES)
    windows = {name for name, changes in tiny.CONFIGS.items() if "sliding_window" in changes}
    assert windows == {name for name, family in FAMILIES.items() if family.mask != "full"}


def test_masks_fold_the_window_by_position_not_by_place() -> None:
    # Six tokens are cached; the root stands at position 6, its two children at 7, their child at 8.
    # Window 4: the node at position 8 sees positions 5 … 8 only, and siblings stand at one
    # position.
    template = TreeTemplate.from_child_counts("y", [[2], [1, 0]])
    maker = MaskMaker(Family("any", mask="by_layer_type"), 4, torch.float32, torch.device("cpu"))
    masks = maker.mask(maker.of_template(template), 6)
    drawn = {
        kind: ["".join("x" if v == 0 else "." for v in row) for row in m[0, 0]]
        for kind, m in masks.items()
    }
    assert drawn == {
        "full_attention": [
            "xxxxxx" "x...",
            "xxxxxx" "xx..",
            "xxxxxx" "x.x.",
            "xxxxxx" "xx.x",
        ],
        "sliding_attention": [
            "...xxx" "x...",
            "....xx" "xx..",
            "....xx" "x.x.",
            ".....x" "xx.x",
        ],
    }  # fmt: skip


def test_the_window_is_exact_at_every_length_and_depth() -> None:
    # Where the shortcuts of MaskMaker begin and end: with keys shown or hidden one place too far,
    # one of these fails.
    maker = MaskMaker(Family("any", mask="window"), 4, torch.float32, torch.device("cpu"))
    for length in range(7):
        for nodes in range(7):
            mask = maker.mask(maker.of_template(chain(nodes)), length)
            places = torch.arange(length + nodes + 1)
            behind = places[length:, None] - places[None, :]
            visible = (behind >= 0) & (behind < 4)
            shown = torch.ones_like(visible) if mask is None else mask[0, 0] == 0
            assert torch.equal(shown, visible), (length, nodes)


def test_masks_are_additive_numbers_in_the_models_dtype() -> None:
    # Eager attention adds a bool mask as 0 and 1 and nobody notices.
    maker = MaskMaker(Family("any"), None, torch.bfloat16, torch.device("cpu"))
    mask = maker.mask(maker.of_template(chain(2)), 3)
    assert mask.dtype == torch.bfloat16
    assert mask.shape == (1, 1, 3, 6)
    assert mask.min() == torch.finfo(torch.bfloat16).min
    assert maker.mask(maker.of_template(chain(0)), 3) is None


def test_a_window_wider_than_the_tree_but_narrower_than_the_text_still_hides() -> None:
    target = tiny.target("mistral", "sdpa")
    context = list(range(2, 42))
    target.prefill(context)
    for step in range(3):
        one = draft(chain(0), seed=step)
        check_every_node(target, context, one)
        target.keep([0])
        context.append(int(one.tokens[0]))


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "deepseek_v3", "gpt2"])
def test_a_compacted_cache_equals_one_computed_afresh(family: str) -> None:
    target, fresh = tiny.target(family), tiny.target(family)
    target.prefill([5, 6, 7])
    context = [5, 6, 7]
    for step, kept in enumerate(([0, 3], [0, 1, 4, 8], [0])):
        drafted = draft(TREE, seed=step)
        target.score(drafted)
        target.keep(kept)
        context += [int(drafted.tokens[n]) for n in kept]
    fresh.prefill(context)
    for ours, theirs in zip(target._cache.layers, fresh._cache.layers, strict=True):
        torch.testing.assert_close(ours.keys, theirs.keys, **CLOSE)
        torch.testing.assert_close(ours.values, theirs.values, **CLOSE)


def test_the_cache_grows_in_place_and_keeps_what_it_holds() -> None:
    cache = GrowingCache()
    rows = torch.arange(FIRST_CAPACITY + 44.0).reshape(1, 1, -1, 1).expand(1, 2, -1, 3)
    cache.update(rows[:, :, :10], -rows[:, :, :10, :2], layer_idx=1)
    before = cache.layers[1].keys.data_ptr()
    cache.update(rows[:, :, 10:20], -rows[:, :, 10:20, :2], layer_idx=1)
    assert cache.layers[1].keys.data_ptr() == before, "a step that fits must not copy the cache"
    keys, values = cache.update(rows[:, :, 20:], -rows[:, :, 20:, :2], layer_idx=1)
    assert torch.equal(keys, rows)
    assert torch.equal(values, -rows[..., :2])
    # Layer 0 shares another layer's keys and never wrote any.
    cache.keep(290, (0, 2, 3, 9))
    assert cache.layers[1].keys[0, 0, 288:, 0].tolist() == [288, 289, 290, 292, 293, 299]
    assert cache.layers[0].get_seq_length() == 0


def test_prefill_in_chunks_shows_every_position_once(monkeypatch: pytest.MonkeyPatch) -> None:
    target = tiny.target("cohere2", "sdpa")
    ids = [2 + n % 90 for n in range(50)]
    seen: list[tuple[Sequence[int], torch.Tensor]] = []
    target.prefill(ids, lambda places, logits: seen.append((places, logits)))
    whole = torch.cat([logits for _, logits in seen])

    monkeypatch.setattr("tr_core.models.hf_target.PREFILL_TOKENS", 16)
    target, seen = tiny.target("cohere2", "sdpa"), []
    target.prefill(ids, lambda places, logits: seen.append((places, logits)))
    assert [(places[0], len(places), len(logits)) for places, logits in seen] == [
        (0, 16, 16), (16, 16, 16), (32, 16, 16), (48, 2, 2),
    ]  # fmt: skip
    torch.testing.assert_close(torch.cat([logits for _, logits in seen]), whole, **CLOSE)
    torch.testing.assert_close(whole[29], plain_logits(target, ids[:30]), **CLOSE)
    assert target.length == 50

    unseen = tiny.target("cohere2", "sdpa")
    unseen.prefill(ids)
    torch.testing.assert_close(unseen._cache.layers[1].keys, target._cache.layers[1].keys, **CLOSE)


@pytest.mark.parametrize("family", FAMILIES)
def test_prefill_shows_the_places_that_were_asked_for_and_no_others(
    family: str, monkeypatch
) -> None:
    monkeypatch.setattr("tr_core.models.hf_target.PREFILL_TOKENS", 16)
    ids = [2 + n * n % 90 for n in range(50)]
    whole: list[torch.Tensor] = []
    tiny.target(family).prefill(ids, lambda places, logits: whole.append(logits))
    seen: list[tuple[Sequence[int], torch.Tensor]] = []
    asked = [3, 15, 16, 49]  # none in the third chunk
    target = tiny.target(family)
    target.prefill(ids, lambda places, logits: seen.append((list(places), logits)), asked)
    assert [places for places, _ in seen] == [[3, 15], [16], [49]]
    torch.testing.assert_close(
        torch.cat([logits for _, logits in seen]), torch.cat(whole)[[3, 15, 16, 49]], **CLOSE
    )
    assert target.length == 50
    # The same from a model that can only give all logits.
    uncut = tiny.target(family)
    uncut._loaded = dataclasses.replace(uncut._loaded, slices_logits=False)
    uncut.prefill(ids, lambda places, logits: seen.append((list(places), logits)), asked)
    assert [places for places, _ in seen[3:]] == [[3, 15], [16], [49]]
    torch.testing.assert_close(
        *(torch.cat([x for _, x in part]) for part in (seen[3:], seen[:3])), **CLOSE
    )


@pytest.mark.parametrize("family", sorted(name for name, f in FAMILIES.items() if f.position_table))
def test_a_tree_may_hang_over_the_models_last_position(family: str) -> None:
    # The paper's tree is 6 deep; 3 positions are left. Nodes too deep score rubbish, the others
    # must be exact.
    target = tiny.target(family)
    context = [2 + n % 90 for n in range(tiny.LENGTH - 3)]
    target.prefill(context)
    drafted = draft(paper(), seed=0)
    scored = target.score(drafted)
    for node in (0, 1, 8, 9, 16):
        path = [int(drafted.tokens[n]) for n in path_to(paper(), node)]
        torch.testing.assert_close(scored[node], plain_logits(target, context + path), **CLOSE)
    target.keep([0, 1, 9])
    assert target.length == target.max_length == tiny.LENGTH
    with pytest.raises(RuntimeError, match="all that the model can take"):
        target.score(drafted)


def test_long_rope_ends_where_its_angles_change() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "original_max_position_embeddings": 64,
        "factor": 2.0,
    }
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    config = tiny.config(
        "phi3", rope_parameters={**rope, **factors}, original_max_position_embeddings=64
    )
    assert max_length_of(config) == 64
    assert max_length_of(tiny.config("phi3")) == tiny.LENGTH


def test_forks_share_weights_and_nothing_else() -> None:
    first = tiny.target("qwen3", "sdpa")
    first.prefill([4, 5, 6, 7])
    second = first.fork()
    assert second.length == 0
    assert second._loaded.model is first._loaded.model
    second.prefill([30, 31])
    drafted = draft(TREE, seed=1)
    pending = first.score(drafted)
    check_every_node(second, [30, 31], drafted)
    first.keep([0])
    second.reset()
    assert (first.length, second.length) == (5, 0)
    check_every_node(second, [], drafted)
    torch.testing.assert_close(
        pending[0], plain_logits(first, [4, 5, 6, 7, int(drafted.tokens[0])]), **CLOSE
    )


def test_calls_out_of_order_are_bugs_and_say_so() -> None:
    target, drafted = tiny.target("llama"), draft(chain(3), seed=0)
    with pytest.raises(RuntimeError, match=r"keep\(\) needs a scored draft"):
        target.keep([0])
    target.score(drafted)
    for call in (lambda: target.score(drafted), lambda: target.prefill([3])):
        with pytest.raises(RuntimeError, match="needs the scored draft to be kept first"):
            call()
    for nodes in ([], [1], [0, 2, 1], [0, 4], [0, 0]):
        with pytest.raises(RuntimeError, match="root and rising nodes below 4"):
            target.keep(nodes)
    target.reset()
    target.prefill([3])
    with pytest.raises(RuntimeError, match="do not fit a model of 128"):
        target.prefill([3] * 128)


def test_end_ids_come_from_all_three_places_and_generation_defaults_are_cleared() -> None:
    made = tiny.model("llama", eos_token_id=[7, 8])
    made.generation_config.eos_token_id = 9
    made.generation_config.repetition_penalty = 1.7
    target = wrap(made, tiny.byte_tokenizer(), "tiny")
    assert target.eos_ids == {1, 7, 8, 9}
    assert made.generation_config.repetition_penalty is None
    assert not made.training
    assert not any(p.requires_grad for p in made.parameters())


def test_plain_generation_is_repeatable_and_leaves_the_random_state_alone() -> None:
    target = tiny.target("llama", "sdpa")
    state = torch.random.get_rng_state()
    options = {"max_new_tokens": 20, "temperature": 1.0, "ignore_eos": True}
    first = target.plain_ids([5, 6, 7], Settings(**options, seed=3))
    assert (
        first
        == target.plain_ids([5, 6, 7], Settings(**options, seed=3))
        != target.plain_ids([5, 6, 7], Settings(**options))
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert target.length == 0
    assert len(target.plain_ids([5] * 120, Settings(max_new_tokens=50, ignore_eos=True))) == 8
    greedy = target.plain_ids([5, 6, 7], Settings(max_new_tokens=20, ignore_eos=True))
    target.eos_ids = frozenset([greedy[4]])
    assert target.plain_ids([5, 6, 7], Settings(max_new_tokens=20))[-1] == greedy[4]


def test_stop_strings_end_where_generate_ends_them() -> None:
    target = tiny.target("llama", "sdpa")
    prompt = target.vocabulary.encode("Hello the")
    free = target.plain_ids(prompt, Settings(max_new_tokens=40, ignore_eos=True))
    text = [target.vocabulary.token_bytes(t).decode("latin-1") for t in free]
    for stop in (text[9] + text[10], text[4][:1], "never written"):
        settings = Settings(max_new_tokens=40, stop=(stop,), ignore_eos=True)
        expected = target.plain_ids(prompt, settings)
        stopped, ours = target.stopper([stop]), []
        for token in free:
            ours.append(token)
            if stopped(prompt + ours):
                break
        assert ours == expected
    with pytest.raises(SettingsError, match="must not be empty"):
        target.stopper([""])
    with pytest.raises(SettingsError, match="cannot write"):
        target.stopper(["ж"])


@pytest.mark.parametrize("family", ["olmo", "qwen2_moe", "persimmon"])
def test_a_family_nobody_listed_is_taken_if_the_probe_finds_it_exact(family: str) -> None:
    changes = {"num_experts": 4, "num_experts_per_tok": 2} if family == "qwen2_moe" else {}
    target = tiny.target(family, "sdpa" if family != "qwen2_moe" else "eager", **changes)
    assert family not in FAMILIES
    assert target.length == 0
    check_every_node(target, [], draft(TREE, seed=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("family", "reason"),
    [
        (
            "rembert",
            "gives other logits in a tree than in plain decoding",
        ),  # reads in both directions
        ("openai-gpt", "fails on a tree"),  # has no cache
    ],
)
def test_a_family_nobody_listed_is_refused_if_the_probe_finds_it_wrong(
    family: str, reason: str, dtype: torch.dtype
) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        wrap(tiny.model(family).to(dtype), tiny.byte_tokenizer(), "tiny")


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("bloom", {}, "ALiBi"),
        ("mpt", {}, "ALiBi"),
        ("falcon", {"alibi": True}, "ALiBi"),
        ("gpt_neo", None, "local attention layers"),
        ("mamba", None, "running state"),
        ("mamba2", None, "running state"),
        ("jamba", None, "running state"),
        ("lfm2", None, "running state"),
        ("qwen3_next", None, "running state"),
        ("rwkv", None, "running state"),
        ("bert", {}, "both directions"),
        ("t5", None, "an encoder and a decoder"),
        ("gemma3", None, "several inputs"),
        ("llama4_text", None, "attention chunks"),
        (
            "llama",
            {"layer_types": ["full_attention", "linear_attention"]},
            "layers of the kind “linear_attention”",
        ),
        ("gemma3_text", {"use_bidirectional_attention": True}, "both directions"),
        ("olmo3", None, "“sliding_window” in its config"),
        (
            "olmo",
            {"layer_types": ["full_attention", "sliding_attention"]},
            "“layer_types” in its config",
        ),
    ],
)
def test_families_that_would_be_wrong_are_refused_with_their_reason(
    family: str, changes: dict | None, reason: str
) -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model(family) if changes is None else tiny.config(family, **changes)
    with pytest.raises(
        UnsupportedModelError, match="cannot be decoded by trees: .*" + reason
    ) as caught:
        family_of(config)
    assert str(caught.value).endswith("Choose another model.")


def test_attention_that_takes_no_tree_mask_is_refused() -> None:
    made = tiny.model("llama")
    made.config._attn_implementation = "flash_attention_2"
    with pytest.raises(
        ModelError, match="“flash_attention_2” of this model is not exact with a tree mask: load"
    ):
        wrap(made, tiny.byte_tokenizer(), "tiny")


def test_passes_run_from_packed_copies_of_the_same_weights():
    target = tiny.target("llama", "sdpa")
    model, runner = target._loaded.model, target._loaded.runner
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear]
    assert len([m for m in runner.modules() if isinstance(m, PackedLinear)]) == len(layers) > 0
    assert {id(p) for p in runner.parameters()} == {id(p) for p in model.parameters()}, (
        "a parameter was copied"
    )
    # The model itself, transformers' own, is what it was: it is the referee.
    assert not any(isinstance(m, PackedLinear) for m in model.modules())
    ids = torch.tensor([list(range(2, 40))])
    with torch.inference_mode():
        torch.testing.assert_close(
            runner(input_ids=ids).logits, model(input_ids=ids).logits, **CLOSE
        )


def test_layers_with_one_input_are_one_product_and_another_input_is_seen():
    model = tiny.model("llama", "sdpa", tie_word_embeddings=False, attention_bias=True)
    with torch.no_grad():
        model.model.layers[0].self_attn.k_proj.bias.uniform_(-1, 1)
    runner = packed(model)
    layer, plain = runner.model.layers[0], model.model.layers[0]
    attention, mlp = layer.self_attn, layer.mlp
    assert attention.q_proj.product is attention.k_proj.product is attention.v_proj.product
    assert mlp.gate_proj.product is mlp.up_proj.product is not mlp.down_proj.product
    assert attention.o_proj.product is not attention.q_proj.product
    products = {id(m.product) for m in runner.modules() if isinstance(m, PackedLinear)}
    assert len(products) == 4 * len(runner.model.layers) + 1, "four a layer, and the head"

    one, other = torch.rand(2, 1, 3, model.config.hidden_size)
    with torch.inference_mode():
        for name, inputs in (
            ("q_proj", one),
            ("k_proj", one),
            ("v_proj", other),
            ("k_proj", other),
            ("q_proj", one),
        ):
            told = getattr(attention, name)(inputs)
            torch.testing.assert_close(told, getattr(plain.self_attn, name)(inputs), **CLOSE)


NEEDS_MKL = pytest.mark.skipif(
    not torch.backends.mkl.is_available(), reason="this torch was built without MKL"
)
NEEDS_BFLOAT16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="oneDNN has no bfloat16 kernels for this processor",
)


@pytest.mark.parametrize(
    "kernel", [pytest.param(packing._by_mkl, marks=NEEDS_MKL), packing._by_onednn]
)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("lone_stored", [False, True])
def test_each_kernel_tells_any_number_of_tokens_what_the_layer_told(
    kernel: packing.Kernel, bias: bool, lone_stored: bool
) -> None:
    """The layout is made for one number of tokens: others must not be told wrong, nor what weights
    changed since.
    """
    layer = torch.nn.Linear(96, 50, bias=bias)
    mine = PackedLinear(layer, packing.Product([layer], kernel), 0, lone_stored)
    rows = torch.rand(1, 400, 96)
    with torch.inference_mode():
        expected = layer(rows)
        torch.testing.assert_close(mine(rows[:, :1]), expected[:, :1])
        layer.weight.zero_()
        for count in (1, 2, 3, 16, 17, 32, 33, 81, 400):
            torch.testing.assert_close(mine(rows[:, :count]), expected[:, :count])
        every_other = rows[:, ::2]
        assert not every_other.is_contiguous()
        torch.testing.assert_close(mine(every_other), expected[:, ::2])


@NEEDS_MKL
@pytest.mark.parametrize(
    ("intel", "dtype", "expected"),
    [
        (True, torch.float32, packing._by_mkl),
        pytest.param(True, torch.bfloat16, packing._by_onednn, marks=NEEDS_BFLOAT16),
        (False, torch.float32, packing._by_onednn),
    ],
)
def test_mkl_computes_in_float32_on_the_processors_it_is_made_for(
    intel, dtype, expected, monkeypatch
) -> None:
    monkeypatch.setattr(packing, "_ON_INTEL", intel)
    layers = {"head": torch.nn.Linear(8, 5, dtype=dtype)}
    assert packing._kernel(layers, dtype) is expected


def _refusing(weights: torch.Tensor, bias: torch.Tensor | None):
    raise RuntimeError("this torch has no such operator")


def _wrong_for_many(weights: torch.Tensor, bias: torch.Tensor | None):
    return lambda rows: torch.nn.functional.linear(rows, weights, bias) * (len(rows) < 17)


@NEEDS_MKL
@pytest.mark.parametrize("kernel", [_refusing, _wrong_for_many])
def test_a_kernel_that_fails_or_tells_some_numbers_of_tokens_something_else_is_not_taken(
    kernel, monkeypatch
) -> None:
    monkeypatch.setattr(packing, "_ON_INTEL", True)
    monkeypatch.setattr(packing, "_by_mkl", kernel)
    layers = {"head": torch.nn.Linear(8, 5)}
    assert packing._kernel(layers, torch.float32) is packing._by_onednn
    monkeypatch.setattr(packing, "_by_onednn", kernel)
    assert packing._kernel(layers, torch.float32) is None


def test_what_is_no_plain_linear_layer_on_the_cpu_is_not_packed(monkeypatch):
    made = tiny.model("llama", "sdpa")
    made.lm_head.register_forward_hook(lambda *_: None)
    assert type(packed(made).lm_head) is torch.nn.Linear
    assert packed(made.half()) is made, "oneDNN has no kernels for float16 everywhere"
    made.float()
    monkeypatch.setattr(packing, "LIMIT_BYTES", 1000)
    assert packed(made) is made, "the copies are above the limit"
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert packed(made) is made


def test_weights_changed_behind_a_targets_back_are_packed_anew_when_it_is_moved():
    target = tiny.target("llama", "sdpa", tie_word_embeddings=False)
    with torch.no_grad():
        target._loaded.model.lm_head.weight.zero_()
    target.prefill([5, 9, 33])
    assert target.score(numerics.one_token(4, target.device)).any()
    moved = target.moved("cpu")
    moved.prefill([5, 9, 33])
    assert not moved.score(numerics.one_token(4, target.device)).any()
