"""The pieces of a static step, each held to its slower twin."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import tiny_models as tiny
from tr_core.attention.families import FAMILIES, FULL, SLIDING
from tr_core.attention.grouped_attention import attend, group_size, merge, with_sums
from tr_core.attention.kv_cache import GrowingCache
from tr_core.attention.static_cache import FREE, StaticCache, bucket_for
from tr_core.attention.static_tree import StaticMask, shape_of, walk
from tr_core.decoding.top_k import CHUNK, MANY, WIDE, top, top_in_order
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.trees import templates
from tr_core.trees.tree import DraftTree, TreeTemplate

TREES = [templates.paper(), templates.chain(0), templates.chain(9), templates.grown(16)]


@pytest.mark.parametrize("width", [40, WIDE, WIDE + 77])
def test_top_is_topk_also_where_it_reads_wide_rows_in_pieces(width):
    noise = torch.Generator().manual_seed(3)
    logits = torch.stack(
        [torch.randperm(width, generator=noise) for _ in range(MANY // WIDE + 1)]
    ).float()
    logits[1] = torch.arange(width)  # the best in the columns that fill no piece
    values, ids = top(logits, 8)
    expected = logits.topk(8)
    assert torch.equal(values, expected.values)
    assert torch.equal(ids, expected.indices)
    logits[2, 20:] = logits[2].max() + 1  # all equal: any of them, but those, each once
    values, ids = top(logits, 8)
    assert len(set(ids[2].tolist())) == 8
    assert torch.equal(values, logits.gather(1, ids))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [40, CHUNK * 16, CHUNK * 40 + 17])
def test_best_is_top_k_with_ties_to_the_lowest_id(dtype, width):
    noise = torch.Generator().manual_seed(width)
    logits = (
        torch.randn(5, width, generator=noise).mul(3).round().to(dtype)
    )  # rounded: full of ties, and of −0
    logits[1] = -logits[1].abs() - 1
    logits[2] = 0.0
    logits[2, ::3] = -0.0
    expected = logits.float().sort(dim=-1, descending=True, stable=True).indices[:, :8]
    assert top_in_order(logits, 8).tolist() == expected.tolist()
    assert top_in_order(logits, 8)[:, 0].tolist() == logits.float().argmax(dim=-1).tolist()


@pytest.mark.parametrize("template", TREES, ids=lambda t: t.name)
def test_a_shape_on_the_device_is_that_of_the_template(template):
    shape = shape_of(torch.tensor([0, *template.parents[1:]]))
    assert shape.depths.tolist() == list(template.depths)
    assert shape.visible.tolist() == template.ancestor_mask.tolist()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_walk_on_the_device_is_that_on_the_host(data):
    # Three tokens only, so that siblings repeat each other and paths are long.
    size = data.draw(st.integers(1, 14))
    parents = sorted(data.draw(st.integers(0, n)) for n in range(size - 1))
    ranks = [parents[:n].count(p) for n, p in enumerate(parents)]
    depths = [0]
    for p in parents:
        depths.append(depths[p] + 1)
    if depths != sorted(depths) or any(p > n for n, p in enumerate(parents)):
        return
    template = TreeTemplate("drawn", (-1, *parents), (-1, *ranks))
    tokens = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    choices = data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    seen = [True, *data.draw(st.lists(st.booleans(), min_size=size - 1, max_size=size - 1))]
    unseen = frozenset(n for n in range(size) if not seen[n])
    expected = DraftTree(template, tuple(tokens), unseen).walk(choices)
    # Padding hangs below the root and is not seen; whatever it holds, it changes nothing.
    pad = data.draw(st.integers(0, 3))
    shape = shape_of(torch.tensor([0, *parents, *[0] * pad]))
    kept = walk(
        shape,
        torch.tensor([*tokens, *[choices[0]] * pad]),
        torch.tensor([*seen, *[False] * pad]),
        torch.tensor([*choices, *[0] * pad]),
    )
    assert kept.nonzero().flatten().tolist() == [0, *expected.path]


def test_drafts_below_unseen_rows_are_fillers_on_all_levels():
    drafter = TokenRecycling(CandidateMatrix(6, 2))
    drafter.matrix.overwrite(torch.tensor([3, 1]), torch.tensor([[1, 5], [4, 0]]))
    tree = TreeTemplate.from_child_counts("deep", [[2], [2, 1], [1, 0, 1]])
    # 3 ─┬─ 1 ─┬─ 4 ── ?     the rows of 4, 5 and 0 were never written
    #    │     └─ 0
    #    └─ 5 ──── ? ── ?
    draft = drafter.propose([3], tree)
    assert draft.tokens.tolist() == [3, 1, 5, 4, 0, 0, 0, 0]
    assert draft.seen.tolist() == [True, True, True, True, True, False, False, False]


@pytest.mark.parametrize("splits", [1, 2, 8])
@pytest.mark.parametrize("group", [1, 3])
def test_grouped_and_split_attention_is_attention(group, splits):
    noise = torch.Generator().manual_seed(0)
    query = torch.randn(1, 2 * group, 5, 16, generator=noise)
    key, value = (torch.randn(1, 2, 64, w, generator=noise) for w in (16, 16))
    seen = torch.rand(5, 64, generator=noise) < 0.4
    seen[:, 40:] = False  # whole parts that nobody sees
    seen[:, 3] = True
    mask = torch.zeros(5, 64).masked_fill(~seen, torch.finfo(torch.float32).min)
    repeated = (x.repeat_interleave(group, dim=1) for x in (key, value))
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, *repeated, attn_mask=mask, scale=0.3
    )
    found = attend(query, key, value, mask.repeat(group, 1)[None, None], scale=0.3, splits=splits)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_a_prefix_and_a_tail_merge_by_log_sum_exp():
    noise = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, 2, n, 8, generator=noise) for n in (4, 30, 30))
    mask = torch.zeros(4, 30)
    mask[:, 26:] = torch.full((4, 4), torch.finfo(torch.float32).min).triu(1)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    parts = [
        with_sums(query, key[:, :, p], value[:, :, p], mask[None, None, :, p], None)
        for p in (slice(26), slice(26, 30))
    ]
    found = merge(torch.stack([p[0] for p in parts]), torch.stack([p[1] for p in parts]))
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("llama", 2),
        ("gpt2", 1),
        ("gemma2", 2),
        ("deepseek_v3", 1),
        ("falcon", None),
        ("gpt_oss", None),
    ],
)
def test_group_sizes(family, expected):
    assert group_size(tiny.model(family, tiny.FAMILIES[family].attention[0])) == expected


def test_buckets_waste_a_third_at_most():
    assert [bucket_for(n) for n in (1, 256, 257, 593, 769, 1025, 1537, 5000)] == [
        256, 256, 512, 768, 1024, 1536, 2048, 6144,
    ]  # fmt: skip


def test_rows_are_claimed_freed_and_claimed_again():
    sample = GrowingCache()
    states = torch.arange(10.0).view(1, 1, 10, 1)
    sample.update(states, states, 0)
    cache = StaticCache(sample, torch.device("cpu"))
    assert cache.reserve(12)
    cache.adopt(sample, 3)
    layer = cache.layers[0]

    def write(first, kept):
        """Four nodes at one position each; the rows they took and those that stay taken."""
        places = cache.claim(4, 12).tolist()
        layer.update(*[torch.arange(first, first + 4.0).view(1, 1, 4, 1)] * 2)
        cache.settle(torch.arange(4) + cache.length, torch.tensor(kept))
        return places

    assert write(100, [True, False, False, True]) == [3, 4, 5, 6]
    assert int(cache.length) == 5
    # The holes are filled first, so nothing lies beyond length + 4.
    assert write(200, [True, True, False, False]) == [4, 5, 7, 8]
    assert cache.positions[:12].tolist() == [0, 1, 2, 3, 5, 6, 6, FREE, FREE, FREE, FREE, FREE]
    assert layer.keys[0, 0, :7, 0].tolist() == [0, 1, 2, 100, 200, 201, 103]
    cache.forget_from(5)
    assert cache.positions[:8].tolist() == [0, 1, 2, 3, FREE, FREE, FREE, FREE]
    assert int(cache.length) == 5
    before = layer.keys[0, 0, :4, 0].tolist()
    assert cache.reserve(2000)
    assert layer.keys[0, 0, :4, 0].tolist() == before
    assert cache.positions[:4].tolist() == [0, 1, 2, 3]
    assert not cache.reserve(2000)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler on a CPU")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own
@pytest.mark.slow
def test_the_mask_is_the_same_through_inductor():
    # Once it was written into a copy of an expanded tensor, all rows of which inductor wrote to one
    # place: the last node's mask for all of them, and only with this backend.
    shape = shape_of(torch.tensor([0, *templates.grown(5).parents[1:]]))
    masks = StaticMask(FAMILIES["gemma2"], 4, torch.float32, repeats=2)
    tails = masks.tails(shape)
    rows = torch.full((32,), FREE)
    rows[[0, 1, 2, 5, 6, 9]] = torch.arange(6)
    cache = StaticCache(GrowingCache(), torch.device("cpu"))
    cache.positions = rows

    def made(rows, depths):
        cache.positions = rows
        cache.claim(6, 32)
        return masks(tails, rows, cache.slots, depths + 6)

    expected = made(rows, shape.depths)
    found = torch.compile(made, fullgraph=True, dynamic=False)(rows, shape.depths)
    for kind in (FULL, SLIDING):
        assert torch.equal(found[kind], expected[kind])
    # The root, at position 6, sees the six rows before it and itself; in the window of 4 only
    # positions 3 to 6.
    assert (expected[FULL][0, 0, 0] == 0).nonzero().flatten().tolist() == [0, 1, 2, 3, 5, 6, 9]
    assert (expected[SLIDING][0, 0, 0] == 0).nonzero().flatten().tolist() == [3, 5, 6, 9]
