"""Names for runs: the settings in which they differ, in a word or two each. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.settings import SAMPLING
from tr_core.trace import RunInfo


def facts(info: RunInfo) -> dict[str, str]:
    """A run's settings in a word or two each; empty where this drafter does not use the setting."""
    settings, drafts = info.settings, info.drafter != "none"
    tree = (
        info.tree
        if any(c.isdigit() for c in info.tree) or info.tree == "auto"
        else f"{info.tree} {info.nodes}"
    )
    learns = drafts and info.k and info.rows_seen
    known = len(set(info.prompt_ids[:-1])) if settings.get("prompt_rows", True) else 0
    return {
        "model": info.model,
        "dtype": info.dtype,
        "device": info.device,
        "drafter": info.drafter,
        "tree": tree if drafts else "",
        "k": f"k {info.k}" if drafts else "",
        # A cold matrix cannot hold more rows than the prompt has written.
        "start": ("hot" if info.rows_seen > known else "cold") if learns else "",
        "prompt_rows": ""
        if not drafts
        else "prompt rows"
        if settings.get("prompt_rows", True)
        else "no prompt rows",
        "sampling": sampling(info),
        "strict": "strict" if settings.get("strict") else "not strict",
        "limit": f"{settings['max_new_tokens']} tokens" if "max_new_tokens" in settings else "",
        "execution": info.execution,
    }


def sampling(info: RunInfo) -> str:
    """How tokens are chosen: ``greedy``, or every setting that sampling depends on."""
    settings = info.settings
    if not settings.get("temperature"):
        return "greedy"
    parts = [
        f"{name.replace('_', '-')} {settings[name]:g}"
        for name, default in SAMPLING.items()
        if settings.get(name, default) != default
    ]
    return ", ".join([*parts, f"seed {settings.get('seed', 0)}"])


def names(infos: Sequence[RunInfo]) -> list[str]:
    """A name for each run from the settings in which it differs; repeated names get a number.

    A setting that a drafter does not use never names it: beside plain decoding, a tree needs no
    name.
    """
    listed = [facts(info) for info in infos]
    differing = [key for key in listed[0] if len({f[key] for f in listed} - {""}) > 1]
    unnumbered = [
        " · ".join(run[key] for key in differing if run[key]) or run["drafter"] for run in listed
    ]
    earlier = [unnumbered[:run].count(name) for run, name in enumerate(unnumbered)]
    return [
        f"{name} ({times + 1})" if times else name
        for name, times in zip(unnumbered, earlier, strict=True)
    ]
