"""A diagnosis as the command line shows it: plain tables, or one JSON object. No torch."""

from __future__ import annotations

from typing import Any

import msgspec

from tr_core.analysis import bytes_read as traffic
from tr_core.analysis import metrics, reliability
from tr_core.analysis.diagnosis import Diagnosis
from tr_core.analysis.row_history import RowHistory
from tr_core.analysis.wording import (
    CERTAINTY_WORDS,
    REASON_WORDS,
    caveats,
    explain,
    explain_addition,
    explain_what_if,
    namer,
)
from tr_core.trace import RunTrace

ROWS = 10
RANKS = 16


def as_json(trace: RunTrace, d: Diagnosis) -> dict[str, Any]:
    """The whole diagnosis of a run, ready for ``json.dumps``.

    It has numbers for scripts; ``details`` has one entry per step.
    """
    name, history = namer(trace), RowHistory(trace)

    def texts(listed: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return [line | {"text": name(line[key])} for line in listed]

    return {
        "steps": len(trace.steps),
        "reasons": d.reasons,
        "tokens_lost": d.lost,
        "not_in_row": {"evicted": d.evicted, "never_stored": d.reasons["not_in_row"] - d.evicted},
        "drafter": trace.info.drafter,
        "tree": trace.info.tree,
        "k": trace.info.k,
        "new_tokens": len(trace.output_ids),
        "mean_accepted_tokens": d.mean_accepted_tokens,
        "draft_acceptance_rate": metrics.acceptance_rate(trace.steps),
        "per_position_acceptance_rate": list(metrics.accepted_by_depth(trace.steps).values()),
        "by_rank": _shares(
            {str(rank): share for rank, share in metrics.by_rank(trace.steps).items()}
        ),
        "by_depth_and_rank": [
            {"depth": depth, "rank": rank, "drafted": share.total, "accepted": share.accepted}
            for (depth, rank), share in metrics.by_depth_and_rank(trace.steps).items()
        ],
        "reliability": {
            "all": msgspec.to_builtins(reliability.overall(trace.steps)),
            "by_source": {
                name: msgspec.to_builtins(r)
                for name, r in reliability.by_source(trace.steps).items()
            },
        },
        "by_class": _shares(metrics.by_class(trace)),
        "by_position": msgspec.to_builtins(metrics.by_position(trace)),
        "sliding_mat": [
            {"step": s, "mean_accepted_tokens": mat} for s, mat in metrics.sliding_mat(trace.steps)
        ],
        "costly_tokens": texts(msgspec.to_builtins(d.costly), "token"),
        "additions": msgspec.to_builtins(d.additions),
        "never_accepted_nodes": d.never_accepted,
        "what_ifs": [msgspec.to_builtins(w) | {"words": explain_what_if(w)} for w in d.what_ifs],
        "matrix": msgspec.to_builtins(history.over_time()),
        "most_rewritten_rows": texts(msgspec.to_builtins(history.lives()[:ROWS]), "token"),
        "bytes": msgspec.to_builtins(traffic.readings(trace)),
        "notes": list(caveats(trace, bool(d.what_ifs))),
        "details": [msgspec.to_builtins(s) | {"sentences": explain(s, name)} for s in d.steps],
    }


def as_text(trace: RunTrace, d: Diagnosis, *, each_step: bool = False) -> str:
    """Tables for a terminal, and before them the two sentences of every step if ``each_step``."""
    name = namer(trace)
    info, count = trace.info, len(trace.steps)
    parts = []
    if each_step:
        parts.append([f"{s.step:>5}  {' '.join(explain(s, name))}" for s in d.steps])
    parts.append(
        [
            f"{info.model}, {info.drafter}, tree {info.tree}, k = {info.k}",
            (
                f"{len(trace.output_ids)} tokens in {count} passes: {d.mean_accepted_tokens:.2f}"
                " tokens per pass (MAT), draft acceptance rate"
                f" {metrics.acceptance_rate(trace.steps):.1%}"
            ),
        ]
    )
    reasons = [f"{'why paths ended':<40}{'steps':>7}{'share':>8}{'tokens lost':>13}"]
    for reason, steps in d.reasons.items():
        if steps:
            reasons.append(
                f"{REASON_WORDS[reason]:<40}{steps:>7}{steps / count:>8.0%}{d.lost[reason]:>13}"
            )
        if reason == "not_in_row" and steps:
            reasons.append(f"{'  evicted earlier in this run':<40}{d.evicted:>7}")
            reasons.append(f"{'  never stored in this run':<40}{steps - d.evicted:>7}")
    reasons.append(f"{'all':<40}{count:>7}{'':>8}{sum(d.lost.values()):>13}")
    parts.append(reasons)
    if d.costly:
        width = max(len(name(c.token)) for c in d.costly) + 2
        costly = [f"tokens after which most was lost\n{'':<{width}}{'lost':>6}{'steps':>7}"]
        for c in d.costly:
            words = ", ".join(f"{REASON_WORDS[r]} ({n})" for r, n in c.reasons.items())
            costly.append(f"{name(c.token):<{width}}{c.lost:>6}{c.steps:>7}  {words}")
        parts.append(costly)
    if d.what_ifs:
        lines = [f"{'what would have helped':<58}{'passes':>7}{'MAT':>7}{'saved':>7}"]
        for w in d.what_ifs:
            numbers = f"{'–':>7}{'–':>7}{'–':>7}"
            if w.passes is not None:
                numbers = f"{w.passes:>7}{w.mean_accepted_tokens:>7.2f}{w.saved:>7}"
            lines.append(f"{explain_what_if(w):<58}{numbers}  {CERTAINTY_WORDS[w.certainty]}")
        for a in d.additions:
            lines.append(
                f"{explain_addition(a):<58}{'':>14}{a.saved:>7}  {CERTAINTY_WORDS['estimate']}"
            )
        if d.never_accepted is not None:
            lines.append(f"tree nodes that no step accepted: {d.never_accepted} of {info.nodes}")
        parts.append(lines)
    classes = metrics.by_class(trace)
    parts.append(
        [f"{'token class':<20}{'emitted':>8}{'from drafts':>17}"]
        + [f"{c:<20}{s.total:>8}{s.rate:>17.0%}" for c, s in classes.items() if s.total]
    )
    pieces = (_places(trace), _along_the_text(trace), _along_the_steps(trace), _sources(trace))
    parts += [part for part in pieces if part]
    parts.append(list(caveats(trace, bool(d.what_ifs))))
    return "\n\n".join("\n".join(part) for part in parts)


def _places(trace: RunTrace) -> list[str]:
    """Where drafts were accepted: by depth and by rank."""
    lines = []
    depths = metrics.accepted_by_depth(trace.steps)
    if depths:
        lines += [
            "share of the steps whose path reached a depth (vLLM: per-position acceptance rate)",
            f"{'depth':<8}" + "".join(f"{depth:>6}" for depth in depths),
            f"{'':<8}" + "".join(f"{rate:>6.0%}" for rate in depths.values()),
        ]
    ranks = dict(list(metrics.by_rank(trace.steps).items())[:RANKS])
    if ranks:
        lines += [
            "share of drafts accepted, among those whose parent was accepted",
            f"{'rank':<8}" + "".join(f"{rank:>6}" for rank in ranks),
            f"{'':<8}" + "".join(f"{share.rate:>6.0%}" for share in ranks.values()),
        ]
    return lines


def _along_the_text(trace: RunTrace) -> list[str]:
    """MAT by position in the output, in up to ten lines."""
    lines = [f"{'output tokens':<22}{'MAT':>6}{'drafted':>9}"]
    for span in metrics.by_position(trace):
        drafted = span.accepted / (span.last - span.first + 1)
        lines.append(
            f"{f'{span.first} – {span.last}':<22}{span.mean_accepted_tokens:>6.2f}{drafted:>9.0%}"
        )
    return lines if len(lines) > 1 else []


def _along_the_steps(trace: RunTrace) -> list[str]:
    """MAT over a sliding window, fill and age of the matrix, in up to ten lines."""
    mats = metrics.sliding_mat(trace.steps)
    if not mats:
        return []
    states = {state.step: state for state in RowHistory(trace).over_time()}
    lines = [
        f"{'up to step':<22}{'MAT':>6}"
        + (f"{'rows filled':>13}{'age of rows used':>18}" if states else "")
    ]
    chosen = sorted({round(len(mats) * part / ROWS) for part in range(1, ROWS + 1)} - {0})
    for step, mat in (mats[number - 1] for number in chosen):
        line = f"{step:<22}{mat:>6.2f}"
        if step in states:
            age = "–" if states[step].age is None else f"{states[step].age:.1f} steps"
            line += f"{states[step].rows_seen:>13,}{age:>18}"
        lines.append(line)
    lines.append(f"MAT here: over the last {metrics.WINDOW} steps up to that one.")
    return lines


def _sources(trace: RunTrace) -> list[str]:
    """Nodes by where they came from; empty for a drafter that expects nothing."""
    lines = [
        f"{name:<24}{r.nodes:>8}{r.expected:>10.1f}{r.accepted:>10}"
        for name, r in reliability.by_source(trace.steps).items()
    ]
    return (
        [f"{'source of nodes':<24}{'drafted':>8}{'expected':>10}{'accepted':>10}", *lines]
        if lines
        else []
    )


def _shares(shares: dict[str, metrics.Share]) -> dict[str, dict[str, float]]:
    return {
        key: {"total": s.total, "accepted": s.accepted, "rate": s.rate} for key, s in shares.items()
    }
