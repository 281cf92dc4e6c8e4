"""Losslessness on a GPU: every family through ``generate``, ordinary and captured steps, in float32
and bfloat16.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from tests.support import tiny_models
from tr_core import Session, Settings
from tr_core.attention.families import FAMILIES
from tr_core.decoding import rounding as numerics
from tr_core.drafters.registry import DRAFTERS
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import wrap
from tr_core.trees import templates

PROMPT = [5, 9, 33, 41, 5, 9, 33, 41, 17, 5, 9]
TOKENS = 40


def check(bench: Any) -> None:
    """One line a family and dtype; float32 first, where every output must be identical."""
    families = FAMILIES if bench.real else ("llama", "gemma2")
    for dtype in (torch.float32, torch.bfloat16):
        for family in families:
            if bench.left() < 3:
                bench.notes["lossless_cut_short_at"] = f"{family}, {dtype}"
                return
            try:
                row = _line(family, dtype, bench.device)
            except Exception as error:  # of one family
                row = {"family": family, "error": f"{type(error).__name__}: {error}"[:200]}
            bench.add(f"lossless, tiny random models, {str(dtype).removeprefix('torch.')}", **row)


def _line(family: str, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    made = tiny_models.model(family, FAMILIES[family].attention[0]).to(device=device, dtype=dtype)
    target = wrap(made, tiny_models.byte_tokenizer(), family)
    expected = target.plain_ids(PROMPT, Settings(max_new_tokens=TOKENS, ignore_eos=True))
    settings = Settings(
        tree="paper", max_new_tokens=TOKENS, ignore_eos=True, capture="off", trace=False
    )
    row: dict[str, Any] = {"family": family, "attention": FAMILIES[family].attention[0]}
    # Plain decoding of our own first: what the drafters are compared with where generate's numbers
    # differ.
    plain = _output(target, dataclasses.replace(settings, drafter="none", capture="on"))[0]
    worst: list[str] = []
    for drafter in DRAFTERS:
        for capture in ("off", "on"):
            ids, how = _output(
                target, dataclasses.replace(settings, drafter=drafter, capture=capture)
            )
            if capture == "on":
                row["how"] = how
            if ids != (expected if dtype == torch.float32 else plain):
                worst.append(f"{drafter}, {capture}: {_divergence(target, ids, plain)}")
    row["identical"] = not worst
    row["plain equals generate"] = plain == expected
    row["divergences"] = "; ".join(worst) or "-"
    return row


def _output(target: HFTarget, settings: Settings) -> tuple[list[int], str]:
    session = Session(target, settings).start(PROMPT)
    for _ in session.run():
        pass
    return session.output_ids, session.execution


def _divergence(target: HFTarget, ids: Sequence[int], plain: Sequence[int]) -> str:
    """Where an output leaves plain decoding, the top-2 margin there, what rounding can flip."""
    place = numerics.first_difference(plain, ids)
    if place is None:
        return "generate alone differs"
    margin = numerics.plain_margin(target, PROMPT, plain, place)
    allowed = numerics.tolerance(
        numerics.logit_difference(target, [*PROMPT, *plain], templates.paper(), cuts=4)
    )
    kind = "near-tie" if margin <= allowed else "BUG"
    return f"token {place + 1}, margin {margin:.3g}, tolerance {allowed:.3g}: {kind}"
