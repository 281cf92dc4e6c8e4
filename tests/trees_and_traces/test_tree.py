"""Shapes: how a template is built, what it refuses, and the mask it gives."""

import numpy as np
import pytest

from tr_core.errors import TemplateError
from tr_core.trees import templates
from tr_core.trees.tree import DraftTree, TreeTemplate

# root ─┬─ 1 ─┬─ 3
#       │     └─ 4 ── 5
#       └─ 2
SMALL = TreeTemplate.from_child_counts("small", [[2], [2, 0], [0, 1]])


def test_child_counts_number_the_nodes_breadth_first():
    assert SMALL.parents == (-1, 0, 0, 1, 1, 4)
    assert SMALL.ranks == (-1, 0, 1, 0, 1, 0)
    assert SMALL.depths == (0, 1, 1, 2, 2, 3)
    assert SMALL.levels == (range(1, 3), range(3, 5), range(5, 6))


def test_each_node_sees_its_ancestors_and_itself():
    drawn = """
        x.....
        xx....
        x.x...
        xx.x..
        xx..x.
        xx..xx
    """
    expected = np.array([[c == "x" for c in line.strip()] for line in drawn.split()])
    assert np.array_equal(SMALL.ancestor_mask, expected)


def test_paths_give_the_same_tree_in_any_order():
    paths = [[0, 1, 0], [1], [0, 0], [0], [0, 1]]
    assert TreeTemplate.from_paths("small", paths) == SMALL


def test_the_paper_tree_is_the_published_one():
    paper = templates.paper()
    assert paper.nodes == 80
    assert [len(level) for level in paper.levels] == [8, 21, 25, 15, 8, 3]
    # The deepest path follows rank 0 all the way; ranks below a parent are always 0 … c − 1.
    assert paper.parents[78:] == (70, 70, 73)
    for parent in set(paper.parents[1:]):
        ranks = [r for p, r in zip(paper.parents, paper.ranks, strict=True) if p == parent]
        assert ranks == list(range(len(ranks)))


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([[0], [0, 1, 2]], "no parent"),
        ([[0], [0]], "occurs twice"),
        ([[]], "at least one rank"),
        ([[0.5]], "at least one rank"),
        ([[32]], "rank 32"),
        ([[-1]], "rank -1"),
        ([[0] * n for n in range(1, 514)], "at most 512"),
    ],
)
def test_what_is_no_tree_is_refused_with_the_reason(paths, reason):
    with pytest.raises(TemplateError, match=reason):
        TreeTemplate.from_paths("bad", paths)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([[2], [1]], "one child count for each of the 2"),
        ([[33]], "child count of 33"),
        ([[True]], "child count of True"),
    ],
)
def test_child_counts_that_do_not_fit_are_refused(counts, reason):
    with pytest.raises(TemplateError, match=reason):
        TreeTemplate.from_child_counts("bad", counts)


def test_parents_and_ranks_must_be_a_breadth_first_tree():
    with pytest.raises(TemplateError, match="is not before it"):
        TreeTemplate("bad", (-1, 2, 0), (-1, 0, 0))
    with pytest.raises(TemplateError, match="breadth-first"):
        TreeTemplate("bad", (-1, 0, 1, 0), (-1, 0, 0, 1))
    with pytest.raises(TemplateError, match="have rank 0"):
        TreeTemplate("bad", (-1, 0, 0), (-1, 0, 0))


@pytest.mark.parametrize("nodes", [1, 7, 80, 512])
@pytest.mark.parametrize("k", [1, 8])
def test_grown_trees_have_the_nodes_asked_for_and_ranks_below_k(nodes, k):
    tree = templates.grown(nodes, k)
    assert tree.nodes == nodes
    assert tree.width <= k


def test_a_word_is_a_name_a_number_or_a_file(tmp_path):
    assert templates.resolve("paper") is templates.paper()
    assert templates.resolve("12").nodes == 12
    file = tmp_path / "mine.json"
    file.write_text('{"child_counts": [[2], [2, 0], [0, 1]]}')
    assert templates.resolve(str(file)) == TreeTemplate("mine", SMALL.parents, SMALL.ranks)


@pytest.mark.parametrize("word", ["", "auto", "0", "513", "-3", "oak", "1e3", "\0", "²"])
def test_other_words_are_refused(word):
    with pytest.raises(TemplateError):
        templates.resolve(word)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"paths": 3}',
        '{"paths": [3]}',
        '{"paths": [["a"]]}',
        '{"child_counts": [[2], [1]]}',
        "[" * 99999,
    ],
)
def test_broken_template_files_are_refused(text):
    with pytest.raises(TemplateError):
        templates.parse(text)


def test_a_rank_needs_a_k_that_fills_it():
    with pytest.raises(TemplateError, match="needs k ≥ 8"):
        templates.resolve("paper", k=4)


def test_children_are_found_by_token_and_never_below_an_unseen_row():
    tree = DraftTree(SMALL, (7, 4, 5, 4, 4, 9), frozenset({2}))
    assert tree.children == {
        (0, 4): 1,
        (1, 4): 3,
        (4, 9): 5,
    }  # of two equal siblings the lower rank
