"""The candidate matrix: overwriting, the rule for duplicates, saving and loading."""

import pytest
import torch
from safetensors.torch import save_file

from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.errors import MatrixError
from tr_core.trees.tree import TreeTemplate

TREE = TreeTemplate.from_child_counts("three levels", [[3], [2, 1, 0], [1, 0, 2]])


def rows(*lists):
    return torch.tensor(lists)


def test_it_starts_unseen_and_rows_are_overwritten_whole():
    matrix = CandidateMatrix(5, 2)
    assert matrix.rows.tolist() == [[-1, -1]] * 5
    assert matrix.rows.dtype == torch.int32
    matrix.overwrite(torch.tensor([3, 1]), rows([4, 0], [2, 3]))
    assert matrix.rows.tolist() == [[-1, -1], [2, 3], [-1, -1], [4, 0], [-1, -1]]
    assert matrix.rows_seen == 2
    matrix.clear()
    assert matrix.rows_seen == 0


def test_of_equal_tokens_the_last_in_order_wins():
    matrix = CandidateMatrix(5, 2)
    updates = matrix.overwrite(torch.tensor([3, 1, 3, 3]), rows([0, 1], [2, 3], [1, 2], [4, 0]))
    assert matrix.rows[3].tolist() == [4, 0]
    assert updates.writers.tolist() == [3, 1, 3, 3]
    assert updates.before.tolist() == [[-1, -1]] * 4


def test_fillers_write_nothing():
    matrix = CandidateMatrix(5, 2)
    updates = matrix.overwrite(
        torch.tensor([3, 0, 0]),
        rows([0, 1], [2, 3], [1, 2]),
        seen=torch.tensor([True, False, False]),
    )
    assert updates.writers.tolist() == [0, -1, -1]
    assert matrix.rows[0].tolist() == [-1, -1]
    assert matrix.rows_seen == 1


@pytest.mark.parametrize("fillers", [False, True])
def test_what_the_host_does_by_itself_is_what_a_device_would_do(fillers):
    noise = torch.Generator().manual_seed(2)
    here, there = CandidateMatrix(9, 3), CandidateMatrix(9, 3)
    recycler = TokenRecycling(here)
    for _ in range(20):
        tokens, candidates = (torch.randint(9, shape, generator=noise) for shape in ((6,), (6, 3)))
        seen = torch.rand(6, generator=noise) < 0.7 if fillers else None
        one, other = (
            here.overwrite(tokens, candidates, seen),
            there.overwrite_on_device(tokens, candidates, seen),
        )
        assert one.writers.tolist() == other.writers.tolist()
        assert one.before.tolist() == other.before.tolist()
        assert torch.equal(here.padded, there.padded)
        draft, root = recycler.propose([tokens[0].item()], TREE), tokens[:1]
        for mine, other in zip(
            (draft.tokens, draft.seen), recycler.fill(root, recycler.plan(TREE)), strict=True
        ):
            assert mine.dtype == other.dtype
            assert mine.tolist() == other.tolist()


def test_a_152k_vocabulary_takes_under_5_mb():
    assert CandidateMatrix(152_000, 8).nbytes < 5_000_000


@pytest.mark.parametrize("k", [0, 33, 6])
def test_k_outside_its_range_is_refused(k):
    with pytest.raises(MatrixError, match="k must be"):
        CandidateMatrix(5, k)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    matrix = CandidateMatrix(5, 2)
    matrix.overwrite(torch.tensor([3]), rows([4, 0]))
    matrix.save(tmp_path / "m.safetensors", "abc")
    again = CandidateMatrix.load(tmp_path / "m.safetensors", fingerprint="abc", vocab_size=5)
    assert torch.equal(again.rows, matrix.rows)


def test_another_tokenizer_or_width_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    CandidateMatrix(5, 2).save(path, "abc")
    with pytest.raises(MatrixError, match="another tokenizer"):
        CandidateMatrix.load(path, fingerprint="xyz", vocab_size=5)
    with pytest.raises(MatrixError, match="another tokenizer"):
        CandidateMatrix.load(path, fingerprint="abc", vocab_size=6)


def test_broken_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(MatrixError, match="not a readable matrix"):
        CandidateMatrix.load(path, fingerprint="abc", vocab_size=5)
    CandidateMatrix(5, 2).save(path, "abc")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MatrixError, match="not a readable matrix"):
        CandidateMatrix.load(path, fingerprint="abc", vocab_size=5)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(MatrixError, match="not a candidate matrix"):
        CandidateMatrix.load(path, fingerprint="abc", vocab_size=5)


@pytest.mark.parametrize("row", [[7, 0], [-1, 2], [3, -1], [-5, 0]])
def test_ids_outside_the_vocabulary_are_refused(tmp_path, row):
    matrix = CandidateMatrix(5, 2)
    matrix.rows[2] = torch.tensor(row)
    matrix.save(tmp_path / "m.safetensors", "abc")
    with pytest.raises(MatrixError, match="outside the vocabulary"):
        CandidateMatrix.load(tmp_path / "m.safetensors", fingerprint="abc", vocab_size=5)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MatrixError, match="cannot be written"):
        CandidateMatrix(5, 2).save(tmp_path / "none" / "m.safetensors", "abc")
