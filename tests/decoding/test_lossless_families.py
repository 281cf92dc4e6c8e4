"""The theorem of the project: whatever drafts, the output is what the model writes by itself, token
for token.

Every family × attention × tree, against transformers' own ``generate``. A new family (an entry in
``families.FAMILIES`` and ``tiny_models.CONFIGS``) or drafter (a line in ``registry.DRAFTERS``) is
picked up by itself.

Not every drafter meets every family: a drafter hands over tokens and parents and never sees a
model, a model gets a tree and never knows who drew it. So all drafters meet a few families that
differ in layers, masks and positions, all families meet one drafter of each kind, and a hostile one
whose trees are worse than any drafter's. The full product would take minutes and could find nothing
else.
"""

from __future__ import annotations

import pytest

from tests.support import tiny_models as tiny
from tests.support.lossless import (
    ODD,
    PROMPT,
    SAMPLED,
    TREES,
    Hostile,
    decoded,
    drafters_for,
    late_end,
    meetings,
)
from tr_core import Settings
from tr_core.attention.families import FAMILIES
from tr_core.drafters.registry import DRAFTERS


@pytest.mark.parametrize(("family", "attention"), tiny.CASES)
def test_greedy_output_equals_generate(family: str, attention: str) -> None:
    target = tiny.target(family, attention)
    expected = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    assert len(set(expected)) > 3, "a constant output would prove nothing"
    for drafter in drafters_for(family):
        for tree in TREES:
            settings = Settings(drafter=drafter, tree=tree, max_new_tokens=40, ignore_eos=True)
            session = decoded(target.fork(), settings)
            assert session.output_ids == expected, (drafter, tree)
            assert session.stop_reason == "max_new_tokens"


def test_recycling_accepts_drafts_on_the_tiny_models() -> None:
    # Otherwise the test above would compare plain decoding with itself.
    fewer = 0
    for family in FAMILIES:
        session = decoded(
            tiny.target(family), Settings(tree="paper", max_new_tokens=40, ignore_eos=True)
        )
        fewer += session.steps < 40
    assert fewer >= len(FAMILIES) * 3 // 4


@pytest.mark.parametrize(("family", "attention"), tiny.CASES)
def test_hostile_drafts_change_nothing(family: str, attention: str) -> None:
    target = tiny.target(family, attention)
    free = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    end = late_end(free)
    for eos, expected in (((), free), ((end,), free[: free.index(end) + 1])):
        mine = target.fork()
        mine.eos_ids = frozenset(eos)
        for tree in TREES:
            settings = Settings(tree=tree, max_new_tokens=40, ignore_eos=not eos)
            session = decoded(
                mine, settings, drafter=Hostile(PROMPT + free, [end, free[3]], target.vocab_size)
            )
            assert session.output_ids == expected, tree
            assert session.steps < len(expected), "it must be right at times, to be dangerous"


@pytest.mark.parametrize(
    ("family", "drafter"), meetings(["llama", "gemma2", "gpt2", "phi3", "deepseek_v3"])
)
def test_sampled_output_equals_generate_with_the_same_seed(family: str, drafter: str) -> None:
    target = tiny.target(family)
    outputs = set()
    for seed in (0, 11):
        for tree in TREES:
            settings = Settings(
                drafter=drafter, tree=tree, max_new_tokens=40, ignore_eos=True, **SAMPLED, seed=seed
            )
            session = decoded(target.fork(), settings)
            assert session.output_ids == target.plain_ids(PROMPT, settings), (seed, tree)
            outputs.add(tuple(session.output_ids))
    assert len(outputs) == 2, "the seed must matter, the tree must not"


@pytest.mark.parametrize(("family", "drafter"), meetings(["gpt2", "opt", "gptj", "mistral"]))
def test_the_models_maximum_length_ends_the_output(family: str, drafter: str) -> None:
    target = tiny.target(family)
    prompt = [2 + n % 90 for n in range(tiny.LENGTH - 12)]
    settings = Settings(drafter=drafter, tree=ODD, max_new_tokens=40, ignore_eos=True)
    session = decoded(target, settings, prompt)
    assert session.stop_reason == "model_length"
    assert len(session.output_ids) == 12
    assert session.output_ids == target.plain_ids(prompt, settings)


@pytest.mark.parametrize(("family", "drafter"), meetings(["llama", "qwen3", "gpt_oss"]))
def test_an_end_token_in_the_middle_of_a_path_ends_the_output(family: str, drafter: str) -> None:
    target = tiny.target(family)
    free = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    for end in sorted({free[7], free[20], late_end(free)}):
        mine = target.fork()
        mine.eos_ids = frozenset([end])
        session = decoded(mine, Settings(drafter=drafter, tree="paper", max_new_tokens=60))
        assert (
            session.output_ids
            == mine.plain_ids(PROMPT, Settings(max_new_tokens=60))
            == free[: free.index(end) + 1]
        )
        assert session.stop_reason == "eos"


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_a_stop_string_ends_the_output_where_generate_ends_it(drafter: str) -> None:
    target = tiny.target("llama", "sdpa")
    free = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    pieces = [target.vocabulary.token_bytes(t).decode("latin-1") for t in free]
    for stop in (pieces[12] + pieces[13], pieces[6]):
        settings = Settings(
            drafter=drafter, tree="paper", max_new_tokens=40, ignore_eos=True, stop=(stop,)
        )
        session = decoded(target.fork(), settings)
        assert session.output_ids == target.plain_ids(PROMPT, settings)
        assert len(session.output_ids) < 40
        assert session.stop_reason == "stop_string"
