"""What tells runs apart: their settings in a word or two each, and names made of those that differ.
No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.trace import RunInfo


def facts(info: RunInfo) -> dict[str, str]:
    """What a run was made with, in a word or two each; empty where it means nothing for this
    drafter.
    """
    told, drafts = info.settings, info.drafter != "none"
    tree = (
        info.tree
        if any(c.isdigit() for c in info.tree) or info.tree == "auto"
        else f"{info.tree} {info.nodes}"
    )
    learns = drafts and info.k and info.rows_seen
    known = len(set(info.prompt_ids[:-1])) if told.get("prompt_rows", True) else 0
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
        if told.get("prompt_rows", True)
        else "no prompt rows",
        "sampling": sampling(info),
        "strict": "strict" if told.get("strict") else "not strict",
        "limit": f"{told['max_new_tokens']} tokens" if "max_new_tokens" in told else "",
        "execution": info.execution,
    }


def sampling(info: RunInfo) -> str:
    """How tokens are chosen: ``greedy``, or all that sampling depends on."""
    told = info.settings
    if not told.get("temperature"):
        return "greedy"
    parts = [f"temperature {told['temperature']:g}"]
    parts += [f"top-p {told['top_p']:g}"] if told.get("top_p", 1) < 1 else []
    parts += [f"top-k {told['top_k']}"] if told.get("top_k") else []
    return ", ".join([*parts, f"seed {told.get('seed', 0)}"])


def names(infos: Sequence[RunInfo]) -> list[str]:
    """A name for each run, made of what tells it from the others, and numbered where nothing does.

    What means nothing for a drafter does not tell it from another: beside plain decoding a tree
    needs no name.
    """
    listed = [facts(info) for info in infos]
    telling = [key for key in listed[0] if len({f[key] for f in listed} - {""}) > 1]
    found = [
        " · ".join(told[key] for key in telling if told[key]) or told["drafter"] for told in listed
    ]
    again = [found[:place].count(name) for place, name in enumerate(found)]
    return [
        f"{name} ({times + 1})" if times else name for name, times in zip(found, again, strict=True)
    ]
