"""The family of drafters that know what came before: what each drafts from texts that one can check
by hand.
"""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest
import torch

from tests.support.toy import ToyTarget
from tr_core import Session, Settings
from tr_core.decoding.recording import record
from tr_core.drafters import lookahead_trie, ngram_matrix, registry
from tr_core.drafters.base import Lesson
from tr_core.drafters.fused import Fused
from tr_core.drafters.lookahead_trie import LookaheadTrie
from tr_core.drafters.ngram_matrix import NgramMatrix
from tr_core.drafters.shared import copies_and_rows
from tr_core.drafters.shared.automaton import Automaton
from tr_core.drafters.shared.calibration import Corrections
from tr_core.drafters.shared.copies_and_rows import COPY_CHANCES
from tr_core.drafters.suffix_automaton import SuffixAutomaton
from tr_core.errors import MatrixError
from tr_core.trees.templates import chain

CPU = torch.device("cpu")
V = 30
FAMILY = ["lookahead_trie", "suffix_automaton", "ngram_matrix", "fused"]


def drawn(draft):
    """{tokens from below the root: (kind, key, place, chance)} of a draft."""
    paths = {0: ()}
    found = {}
    tokens = draft.tokens.tolist()
    for node in range(1, len(tokens)):
        paths[node] = (*paths[draft.template.parents[node]], tokens[node])
        source = draft.sources[node]
        found[paths[node]] = (
            source.kind,
            source.key,
            source.place,
            pytest.approx(draft.expected[node]),
        )
    assert len(found) == len(tokens) - 1, "no branch stands twice"
    return found


def rows_of(*lists):
    """Candidates and probabilities of prompt positions, from lists of (token, probability)."""
    candidates = np.array([[t for t, _ in row] for row in lists], dtype=np.int32)
    return candidates, np.array([[p for _, p in row] for row in lists], dtype=np.float32)


# -- lookahead_trie
# ------------------------------------------------------------------------------------------


def test_a_trie_drafts_both_branches_by_how_often_they_were_seen():
    drafter = LookaheadTrie(50)
    # After “1 2” came 3 twice and 4 once, in a prompt, where each counts twice: 6 seen, 2
    # different, so 6 / (6 + 2). After “1 2 3” came 1 twice: 4 / (4 + 1). After “1 2 4” came 1 once:
    # 2 / (2 + 1).
    draft = drafter.propose([1, 2, 3, 1, 2, 3, 1, 2, 4, 1, 2], chain(4))
    assert drawn(draft) == {
        (3,): ("trie", 2, -1, 0.75 * 4 / 6),
        (4,): ("trie", 2, -1, 0.75 * 2 / 6),
        (3, 1): ("trie", 3, -1, 0.5 * 0.8),
        (3, 1, 2): ("trie", 4, -1, 0.5 * 0.8 * 0.8),
    }


def test_what_was_written_counts_once_and_stays_while_the_prompt_is_forgotten():
    drafter = LookaheadTrie(50)
    text = [1, 2, 3, 1, 2, 3, 1, 2, 4, 1, 2]
    drafter.propose(text[:1], chain(4))  # the prompt; all that follows is output
    as_output = {
        (3,): ("trie", 2, -1, 3 / 5 * 2 / 3),
        (4,): ("trie", 2, -1, 3 / 5 * 1 / 3),
    }
    found = drawn(drafter.propose(text, chain(9)))
    # The first “1” stood in the prompt; the n-grams that it begins have been written since, all but
    # itself.
    assert {path: found[path] for path in as_output} == as_output
    drafter.begin()
    assert drawn(drafter.propose([7, 1, 2], chain(2)))[(3,)] == as_output[(3,)]
    other = LookaheadTrie(50)
    other.propose(text, chain(4))
    other.begin()
    assert drawn(other.propose([7, 1, 2], chain(4))) == {}, "a prompt belongs to its text"


def test_a_shorter_ending_answers_with_what_the_longer_ones_leave():
    # “1 2” was followed by 3 once (seen 2, 2 / 3); “2” by 3 and by 5: the ending of one token knows
    # 5 besides, with 2 / 3 of the third that is left.
    draft = LookaheadTrie(50).propose([1, 2, 3, 9, 2, 5, 8, 1, 2], chain(30))
    found = drawn(draft)
    assert found[(3,)] == ("trie", 2, -1, 2 / 3)
    assert found[(5,)] == ("trie", 1, -1, 1 / 3 * 2 / 3)


def test_a_trie_keeps_to_its_bounds_and_prefers_what_was_seen_often(monkeypatch):
    monkeypatch.setattr(lookahead_trie, "MOST_NODES", 300)
    monkeypatch.setattr(lookahead_trie, "WIDEST", 4)
    noise, drafter, text = random.Random(1), LookaheadTrie(50), [0]
    drafter.propose(text, chain(4))
    for _ in range(60):
        text += [noise.randrange(8, V) for _ in range(6)] + [1, 2, 3]
        drafter.propose(text, chain(4))
        assert drafter.nodes <= 300
        assert _nodes(drafter._top) <= drafter.nodes
        assert all(len(n.below or {}) <= 4 for n in (drafter._top.below or {}).values())
    assert drawn(drafter.propose([*text, 9, 1, 2], chain(1))).keys() == {(3,)}


def test_a_full_trie_is_made_again_from_the_ids_of_its_text(monkeypatch):
    monkeypatch.setattr(lookahead_trie, "MOST_NODES", 200)
    monkeypatch.setattr(lookahead_trie, "WIDEST", 2)
    noise, drafter = random.Random(3), LookaheadTrie(6)
    for _ in range(3):  # the later texts find what the earlier ones left
        drafter.begin()
        text = [noise.randrange(6) for _ in range(40)]
        for _ in range(40):
            drafter.propose(text, chain(4))
            state = json.loads(json.dumps(drafter.state()))
            text += [noise.randrange(6) for _ in range(3)]
            other = LookaheadTrie(6)
            other.restore(state, text[:40], text[40:])
            assert drawn(other.propose(text, chain(12))) == drawn(drafter.propose(text, chain(12)))
            assert other.nodes == drafter.nodes
    assert len(state["tokens"]) > 50


def _nodes(node):
    return sum(1 + _nodes(child) for child in (node.below or {}).values())


# -- suffix_automaton
# ------------------------------------------------------------------------------------------


def test_the_longest_ending_that_stood_before_is_copied_on():
    #       0  1  2  3  4  5  6  7  8  9  10 11 12 13 14 15 16 17
    text = [7, 1, 2, 3, 4, 5, 6, 9, 2, 3, 4, 5, 8, 1, 2, 3, 4, 5]
    draft = SuffixAutomaton.create(V, 2, CPU).propose(text, chain(3))
    # “1 2 3 4 5” goes on with 6, though “2 3 4 5” went on with 8 later.
    a, b, c = COPY_CHANCES[4:7]
    assert drawn(draft) == {
        (6,): ("automaton", 5, 6, a),
        (6, 9): ("automaton", 6, 7, a * b),
        (6, 9, 2): ("automaton", 7, 8, a * b * c),
    }


def test_the_latest_of_equal_places_is_copied_and_a_run_goes_on_and_on():
    text = [1, 2, 3, 4, 5, 6, 9, 1, 2, 3, 4, 5, 7, 8, 1, 2, 3, 4, 5]
    (child,) = drawn(SuffixAutomaton.create(V, 2, CPU).propose(text, chain(1))).items()
    assert child == ((7,), ("automaton", 5, 12, COPY_CHANCES[4]))
    run = SuffixAutomaton.create(V, 2, CPU).propose([6, 5, 5, 5, 5, 5, 5], chain(9))
    assert run.tokens.tolist() == [5] * 10
    longest = SuffixAutomaton.create(V, 2, CPU).propose([6, 5, 5, 5, 5, 5, 5], chain(60))
    assert longest.template.nodes == 40


def test_rows_are_recycled_where_the_match_is_too_short():
    drafter = SuffixAutomaton.create(V, 2, CPU)
    text = [1, 2, 3, 4, 5, 6, 1, 2, 3, 4]  # “1 2 3 4” went on with 5, a match of four
    drafter.learn_prompt(text, 0, *rows_of(*[[(9, 0.4), (8, 0.1)]] * 9))
    assert drawn(drafter.propose(text, chain(2))) == {
        (9,): ("row", 1, -1, 0.4),
        (8,): ("row", 1, -1, 0.1),
    }
    assert drawn(drafter.propose([*text, 5], chain(1))) == {
        (6,): ("automaton", 5, 5, COPY_CHANCES[4])
    }


def test_an_automaton_finds_what_searching_the_text_finds():
    noise = random.Random(0)
    for _ in range(150):
        letters = noise.choice((2, 3, 5))
        text = [noise.randrange(letters) for _ in range(noise.randrange(1, 60))]
        automaton = Automaton()
        for token in text:
            automaton.extend(token)
        ends = {n: _ends(text, text[-n:]) for n in range(1, len(text))}
        longest = max((n for n, found in ends.items() if len(found) > 1), default=0)
        assert automaton.ending()[1] == longest
        assert automaton.position(automaton.ending()) == (
            (ends[longest][-2], longest) if longest else (0, 0)
        )
        for token in range(letters):  # drafted behind the text, whatever it is
            drafted = [*text, token]
            stands = max(
                (n for n in range(1, len(drafted)) if _ends(text, drafted[-n:])), default=0
            )
            assert automaton.follow(automaton.ending(), token)[1] == stands


def _ends(text, part):
    """Places behind each stand of ``part`` in ``text``."""
    return [
        i + len(part) for i in range(len(text) - len(part) + 1) if text[i : i + len(part)] == part
    ]


def test_a_text_longer_than_the_automaton_is_taken_in_again_from_its_second_half(monkeypatch):
    monkeypatch.setattr(copies_and_rows, "MOST_TOKENS", 16)
    drafter = SuffixAutomaton.create(V, 2, CPU)
    text = [*range(9, 29), 1, 2, 3, 4, 5, 6, 20, 1, 2, 3, 4, 5]
    for end in range(1, len(text) + 1):
        draft = drafter.propose(text[:end], chain(1))
        assert drafter.copies._automaton.size <= 16
    assert drawn(draft) == {
        (6,): ("automaton", 5, 25, COPY_CHANCES[4])
    }  # its place in all of the text


# -- ngram_matrix
# ------------------------------------------------------------------------------------------


def test_what_followed_two_tokens_beats_what_followed_the_last():
    drafter = NgramMatrix(V)
    sure_of_3, sure_of_4, idle = [(3, 0.9), (5, 0.1)], [(4, 0.9), (6, 0.1)], [(0, 0.5), (7, 0.5)]
    text = [1, 2, 3, 9, 2, 4, 9, 2, 4, 0]
    drafter.learn_prompt(
        text, 0, *rows_of(idle, sure_of_3, idle, idle, sure_of_4, idle, idle, sure_of_4, idle)
    )
    (first,) = drawn(drafter.propose([8, 1, 2], chain(1))).items()
    # The pair: seen once, and the text went on with 3, which counts half: 1.4 / 1.5, of which 1.5 /
    # 2 counts. After 2 alone came 3 once and 4 twice since; each time the past counts half.
    total = (1.5 / 2 + 1.5) / 2 + 1.5
    assert first == ((3,), ("ngram", 2, -1, 0.75 * 1.4 / 1.5 + 0.25 * 1.4 / 4 / total))
    # A pair never seen leaves it to the last token.
    (first,) = drawn(drafter.propose([8, 7, 2], chain(1))).items()
    assert first == ((4,), ("ngram", 1, -1, 1.4 * 1.5 / total))


def test_rejected_nodes_teach_too_and_the_search_goes_where_chances_are():
    drafter = NgramMatrix(V)
    context = [1, 2]
    assert drawn(drafter.propose(context, chain(5))) == {}
    told = rows_of([(3, 0.8), (4, 0.2)], [(5, 0.6), (6, 0.4)], [(7, 0.9), (8, 0.1)])
    # 3 and 4 were drafted below 2, the model chose 9 there: both are rejected, and both have told
    # what follows them.
    drafter.learn(Lesson(context, (-1, 0, 0), (2, 3, 4), (9, 5, 7), *told, (), False))
    # The pair “1 2” and the token 2 say alike: 9 was written, which counts half. “2 3” and “2 4”
    # have no such word.
    assert drawn(drafter.propose([1, 2], chain(6))) == {
        (3,): ("ngram", 2, -1, 0.8 / 1.5),
        (9,): ("ngram", 2, -1, 0.5 / 1.5),
        (4,): ("ngram", 2, -1, 0.2 / 1.5),
        (3, 5): ("ngram", 2, -1, 0.8 / 1.5 * 0.6),
        (3, 6): ("ngram", 2, -1, 0.8 / 1.5 * 0.4),
        (4, 7): ("ngram", 2, -1, 0.2 / 1.5 * 0.9),
    }


def test_an_ngram_matrix_keeps_the_rows_written_last(monkeypatch):
    monkeypatch.setattr(ngram_matrix, "MOST_ROWS", 4)
    drafter = NgramMatrix(V)
    text = list(range(10, 20))
    drafter.learn_prompt(text, 0, *rows_of(*[[(t + 1, 0.9), (0, 0.1)] for t in text[:-1]]))
    assert drafter.rows_seen == 4  # of 17 and 18, and of the pairs that end in them
    assert drawn(drafter.propose([14, 15], chain(3))) == {}
    assert list(drawn(drafter.propose([17, 18], chain(1)))) == [(19,)]


# -- fused
# ------------------------------------------------------------------------------------------


def fused_at_the_end_of(text, *rows):
    """A fused drafter with a row for each position but the last."""
    drafter = Fused.create(V, 2, CPU)
    drafter.learn_prompt(text, 0, *rows_of(*rows))
    return drafter


def test_a_beginning_that_both_propose_stands_once():
    text = [7, 1, 4, 9, 8, 7, 1]
    blank = [(20, 0.0), (21, 0.0)]
    rows = [blank, [(4, 0.5), (5, 0.49)], [(6, 0.9), (5, 0.0)], blank, blank, blank]
    draft = fused_at_the_end_of(text, *rows).propose(text, chain(5))
    # “7 1” went on with 4, 9, …, matches of 2, 3, … The row of 1 says 4 and 5, that of 4 says 6 and
    # 5.
    a, b, c = COPY_CHANCES[1:4]
    both = a + (1 - a) * 0.5
    assert drawn(draft) == {
        (4,): ("fused", 2, 2, both),
        (5,): ("row", 1, -1, (1 - a) * 0.49),
        (4, 9): ("automaton", 3, 3, both * b),
        (4, 9, 8): ("automaton", 4, 4, both * b * c),
        (4, 6): ("row", 1, -1, both * (1 - b) * 0.9),
    }


def test_the_budget_keeps_the_most_probable_nodes():
    text = [7, 1, 4, 9, 8, 7, 1]
    blank = [(20, 0.0), (21, 0.0)]
    rows = [blank, [(4, 0.5), (5, 0.49)], [(6, 0.9), (5, 0.0)], blank, blank, blank]
    trees = [drawn(fused_at_the_end_of(text, *rows).propose(text, chain(n))) for n in (1, 2, 3, 12)]
    assert [set(t) for t in trees[:3]] == [{(4,)}, {(4,), (4, 9)}, {(4,), (4, 9), (4, 9, 8)}]
    kept = min(t[3].expected for t in trees[2].values())
    assert all(path in trees[2] or t[3].expected <= kept for path, t in trees[3].items())


def test_either_goes_on_below_what_the_other_proposed():
    text = [7, 1, 4, 9, 8, 2]
    blank = [(20, 0.0), (21, 0.0)]
    rows = [[(1, 0.6), (20, 0.0)], blank, blank, blank, blank, [(7, 0.6), (20, 0.1)]]
    drafter = fused_at_the_end_of([*text, 0], *rows)
    found = drawn(drafter.propose(text, chain(4)))
    assert found[(7,)] == ("row", 1, -1, 0.6)
    # Nothing stood before that ends in 2; what stood behind 7 is copied below the recycled 7.
    assert found[(7, 1)][:3] == ("fused", 1, 1)
    assert found[(7, 1, 4)][:3] == ("automaton", 2, 2)


def test_agreement_that_was_wrong_counts_less():
    text = [7, 1, 4, 9, 8, 7, 1]
    blank = [(20, 0.0), (21, 0.0)]
    rows = [blank, [(4, 0.5), (5, 0.3)], blank, blank, blank, blank]
    drafter = fused_at_the_end_of(text, *rows)
    before = drafter.propose(text, chain(1)).expected[1]
    told = rows_of([(4, 0.5), (5, 0.3)], blank)
    for _ in range(20):
        drafter.propose(text, chain(1))
        drafter.learn(Lesson(text, (-1, 0), (1, 4), (5, 20), *told, (), False))
    draft = drafter.propose(text, chain(2))
    assert draft.expected[1 + draft.tokens.tolist()[1:].index(4)] < before / 4
    assert draft.tokens.tolist()[1] == 5, "the row's other candidate has come true each time"


# -- all of them
# ------------------------------------------------------------------------------------------


def test_a_factor_is_what_came_true_of_what_was_expected():
    corrections = Corrections(2)
    for turn in range(100):
        corrections.observe(1, 0.8, turn % 4 == 0)
    assert corrections.factors[0] == 1
    # 25 of 80 expected, and a belief of 2 in 2; old turns fade by a little.
    assert corrections.factors[1] == pytest.approx(27 / 82, rel=0.02)


@pytest.mark.parametrize("name", FAMILY)
def test_chances_are_chances_and_the_trace_tells_where_all_came_from(name):
    table = {t: [(t * 7 + 3) % 10, (t * 7 + 4) % 10] for t in range(10)}
    session = Session(ToyTarget(table), Settings(drafter=name, tree="12", max_new_tokens=60)).start(
        [1, 2, 3]
    )
    steps = record(session).steps
    for step in steps:
        assert len(step.sources) == len(step.expected) == len(step.tokens)
        assert step.sources[0].kind == "root"
        assert step.tree.template.nodes <= 12
        assert step.held is not None
        for node in range(len(step.tokens)):
            below = [e for e, p in zip(step.expected, step.parents, strict=True) if p == node]
            assert sum(below) <= step.expected[node] + 1e-3
        text = [*session.prompt_ids, *session.output_ids]
        for token, source in zip(step.tokens, step.sources, strict=True):
            assert source.place < 0 or text[source.place] == token
    assert len(steps) < 40, "it repeats itself, so they must have learned"
    assert any(step.rows for step in steps) == (name in ("suffix_automaton", "fused"))


@pytest.mark.parametrize("name", FAMILY)
def test_auto_grows_what_pays(name):
    table = {t: [(t + 1) % 10] for t in range(10)}
    session = Session(
        ToyTarget(table), Settings(drafter=name, tree="auto", max_new_tokens=60)
    ).start([1])
    steps = record(session).steps
    assert steps[0].budget.reason == "unseen"
    assert steps[0].budget.chosen == 0
    assert all(s.budget.chosen == len(s.tokens) - 1 for s in steps)
    assert max(s.budget.chosen for s in steps) > 4
    assert len(steps) < 30


def poisoned(name):
    """A drafter that has been told nonsense about everything."""
    drafter, noise = registry.create(name, 10, 4, CPU), random.Random(3)
    for _ in range(5):
        drafter.begin()
        text = [noise.randrange(10) for _ in range(120)]
        drafter.propose(text[:60], chain(4))
        drafter.propose(text, chain(4))
        if registry.entry(name).learns:
            rows = [[(t, 0.25) for t in noise.sample(range(10), 4)] for _ in text[1:]]
            drafter.learn_prompt(text, 0, *rows_of(*rows))
    return drafter


@pytest.mark.parametrize("name", [n for n, e in registry.DRAFTERS.items() if e.drafts])
def test_nonsense_changes_no_output(name):
    table = {t: [(t * 3 + 1) % 10, (t * 3 + 2) % 10] for t in range(10)}
    for settings in (
        Settings(max_new_tokens=50, k=4),
        Settings(max_new_tokens=50, k=4, temperature=2.0, seed=5),
    ):
        plain = record(
            Session(ToyTarget(table), dataclasses.replace(settings, drafter="none")).start([2])
        )
        for tree in ("3", "64", "auto"):
            mine = dataclasses.replace(settings, drafter=name, tree=tree)
            session = Session(ToyTarget(table), mine, drafter=poisoned(name)).start([2])
            assert record(session).text == plain.text, tree


@pytest.mark.parametrize("name", [n for n, e in registry.DRAFTERS.items() if e.saves and e.grows])
def test_what_is_kept_over_prompts_can_be_saved(name, tmp_path):
    drafter, path = poisoned(name), tmp_path / "known.safetensors"
    drafter.save(path, "toy")
    loaded = registry.entry(name).load(path, "toy", 10, CPU)
    for one in (drafter, loaded):
        one.begin()
    first, second = drafter.propose([4, 7, 1], chain(20)), loaded.propose([4, 7, 1], chain(20))
    assert first.tokens.tolist() == second.tokens.tolist()
    assert first.template == second.template
    assert len(first.tokens) > 3, "nothing known would prove nothing"
    assert tuple(first.sources) == tuple(second.sources)
    assert first.expected == pytest.approx(second.expected, rel=1e-5)
    with pytest.raises(MatrixError, match="another tokenizer"):
        registry.entry(name).load(path, "other", 10, CPU)
    with pytest.raises(MatrixError):
        registry.entry(name).load(path, "toy", 5, CPU)  # ids that its vocabulary does not have
    other = "ngram_matrix" if name != "ngram_matrix" else "lookahead_trie"
    with pytest.raises(MatrixError, match="not saved by this drafter"):
        registry.entry(other).load(path, "toy", 10, CPU)
