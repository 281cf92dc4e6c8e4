"""How far a tree pass rounds differently from one-token passes, and what that does to the output.

A pass over N tokens adds up the same products as N passes over one token, in another order, so its
logits differ in their last bits. In float32 that is about a millionth and turns no choice; in half
precision it is as much as the distance between the two best tokens at some places. There the
drafted output may leave plain decoding's: a near-tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch

from tr_core.target import Draft, Target
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate


def one_token(token: int, device: torch.device) -> Draft:
    """The draft of plain decoding: a root and nothing below it."""
    tokens = torch.tensor([token], dtype=torch.int64, device=device)
    return Draft(chain(0), tokens, torch.ones(1, dtype=torch.bool, device=device))


def logit_difference(
    target: Target, ids: Sequence[int], template: TreeTemplate, *, cuts: int = 2
) -> float:
    """The greatest |Δlogit| measured between passes over ``template`` and one-token passes.

    At each of ``cuts`` positions in ``ids`` the text that follows is put on the way down to the
    deepest node, other tokens on the other nodes, and the logits along that way are compared with
    those of one-token passes after the same prefix. It is at least one step of the dtype at the
    size of these logits: logits that are rounded to that grid can differ by a step anywhere, even
    if they did not at the few positions measured.

    Costs ``cuts`` × (depth + 2) passes and ``cuts`` prefills, on a fork; the target's own cache is
    not touched.
    """
    spine = [max(range(len(template.depths)), key=template.depths.__getitem__)]
    while spine[0]:
        spine.insert(0, template.parents[spine[0]])
    spine = spine[: target.max_length]
    text = [ids[n % len(ids)] for n in range(max(len(ids), len(spine)))]
    last = len(text) - len(spine)
    fork, device = target.fork(), target.device
    differences, sizes = [], []
    for cut in sorted({last - last * n // max(1, cuts) for n in range(cuts)}):
        tokens = torch.tensor(
            [text[n % len(text)] for n in range(len(template.parents))], device=device
        )
        tokens[spine] = torch.tensor(text[cut : cut + len(spine)], device=device)
        fork.reset()
        fork.prefill(text[:cut])
        tree = fork.score(
            Draft(template, tokens, torch.ones(len(tokens), dtype=torch.bool, device=device))
        )
        fork.rewind(cut)
        for node, token in zip(spine, text[cut:], strict=False):
            plain = fork.score(one_token(token, device))[0]
            fork.keep((0,))
            differences.append((tree[node] - plain).abs().max())
            sizes.append(plain.abs().max())
    return max(
        float(torch.stack(differences).max()),
        step_at(float(torch.stack(sizes).max()), target.dtype),
    )


def step_at(value: float, dtype: torch.dtype) -> float:
    """The distance between neighbouring numbers of ``dtype`` at the size of ``value``."""
    return torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(value)) if value > 0 else 0.0


def tolerance(difference: float) -> float:
    """The top-2 margin up to which |Δlogit| ≤ ``difference`` may turn a choice.

    One of the two logits may fall by it while the other rises.
    """
    return 2 * difference


def margins(logits: torch.Tensor) -> torch.Tensor:
    """(n,) the best logit − the second best, of (n, V)."""
    best = logits.topk(2, dim=-1).values
    return best[:, 0] - best[:, 1]


def first_difference(plain: Sequence[int], drafted: Sequence[int]) -> int | None:
    """The first index at which two outputs differ, or None if they are equal."""
    pairs = enumerate(zip_longest(plain, drafted))
    return next((index for index, (ours, theirs) in pairs if ours != theirs), None)


def plain_margin(target: Target, prompt: Sequence[int], plain: Sequence[int], index: int) -> float:
    """The top-2 margin where plain decoding chose ``plain[index]``, by its own passes."""
    fork = target.fork()
    fork.prefill(prompt[:-1])
    for token in [prompt[-1], *plain[:index]]:
        logits = fork.score(one_token(token, target.device))
        fork.keep((0,))
    return float(margins(logits))
