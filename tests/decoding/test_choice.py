"""The greedy choice, where the best candidates are at hand already."""

import pytest
import torch

from tr_core.decoding.sampling import Greedy


@pytest.mark.parametrize("k", [1, 3])
def test_among_equal_logits_the_lowest_id_is_chosen_however_they_were_ranked(k):
    noise = torch.Generator().manual_seed(1)
    for _ in range(200):
        logits = torch.randint(4, (5, 9), generator=noise).float()  # ties nearly everywhere
        values, best = logits.topk(k, dim=-1)
        assert Greedy().of_best(logits, values, best).tolist() == logits.argmax(dim=-1).tolist()


def test_without_ties_the_logits_are_not_read_again(monkeypatch):
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0]])
    values, best = logits.topk(2, dim=-1)
    monkeypatch.setattr(torch.Tensor, "argmax", lambda self, dim: pytest.fail("read again"))
    assert Greedy().of_best(logits, values, best).tolist() == [1, 0]
