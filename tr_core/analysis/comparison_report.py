"""Runs side by side for the command line: table, JSON object, CSV, sentences. No torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tr_core.analysis.alignment import Alignment, Chosen, Jump
from tr_core.analysis.wording import Name, namer
from tr_core.trace import RunTrace

COLUMNS = ("position", "run", "name", "token", "token_text", "step", "source", "passes", "same")
HALF = ("bfloat16", "float16")
_FACT_WORDS = {
    "model": "another model",
    "dtype": "another dtype",
    "device": "another device",
    "sampling": "different sampling",
}
_LOSSLESS = {True: "yes", False: "no", None: "not checked"}


def as_json(traces: Sequence[RunTrace], alignment: Alignment) -> dict[str, Any]:
    """A whole comparison, ready for ``json.dumps``; ``runs`` has one entry per run."""
    name = _namer(traces)
    plain = msgspec.to_builtins(alignment)
    runs = [
        summary | {"steps": lane["steps"]}
        for summary, lane in zip(plain["summaries"], plain["lanes"], strict=True)
    ]
    return {
        "runs": runs,
        "verdict": alignment.verdict,
        "shared": alignment.shared,
        "difference": plain["difference"],
        "alike": plain["alike"],
        "may_differ": plain["may_differ"],
        "jumps": plain["jumps"],
        "leads": plain["leads"],
        "sentences": [
            texts_sentence(traces, alignment, name),
            *alike_sentences(alignment),
            *(jump_sentence(alignment, j, traces, name) for j in alignment.jumps),
        ],
    }


def as_text(traces: Sequence[RunTrace], alignment: Alignment) -> str:
    """Tables for a terminal."""
    name = _namer(traces)
    width = max(len(s.name) for s in alignment.summaries) + 2
    table = [
        f"{'':<{width}}{'tokens':>7}{'passes':>8}{'MAT':>7}{'tokens/s':>10}{'ms/step':>9}{'nodes':>7}{'drafted':>9}{'accepted':>10}"
        "  lossless"
    ]
    for s in alignment.summaries:
        table.append(
            f"{s.name:<{width}}{s.tokens:>7}{s.passes:>8}{s.mean_accepted_tokens:>7.2f}{s.tokens_per_second:>10.1f}{s.ms_per_step:>9.1f}{s.nodes:>7.1f}{s.drafted:>9}{s.accepted:>10}"
            f"  {_LOSSLESS[s.lossless]}"
        )
    parts = [table, [texts_sentence(traces, alignment, name), *alike_sentences(alignment)]]
    for lead in alignment.leads:
        parts[1].append(
            f"{alignment.lanes[lead.run].name} had its largest lead after"
            f" {_count(lead.position, 'token')}: {_count(lead.passes, 'pass', 'passes')} ahead of"
            " all others."
        )
    if alignment.jumps:
        parts.append(
            [
                "where a run jumped ahead",
                *(jump_sentence(alignment, j, traces, name) for j in alignment.jumps),
            ]
        )
    return "\n\n".join("\n".join(part) for part in parts)


def positions_csv(traces: Sequence[RunTrace], alignment: Alignment) -> str:
    """One line a position and run; ``same``: whether all runs wrote the same text up to there."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    longest = max(len(lane.emitter) for lane in alignment.lanes)
    accepted = [_accepted(trace) for trace in traces]
    for index in range(longest):
        for run, (trace, lane) in enumerate(zip(traces, alignment.lanes, strict=True)):
            if index >= len(lane.emitter):
                continue
            token = trace.output_ids[index]
            # As JSON: exact, on one line, and never a formula to a spreadsheet.
            text = json.dumps(trace.pieces.get(token, f"<id {token}>"), ensure_ascii=False)
            source = "accepted" if accepted[run][index] else "bonus"
            line = (
                index + 1,
                run + 1,
                json.dumps(lane.name, ensure_ascii=False),
                token,
                text,
                lane.emitter[index],
            )
            writer.writerow((*line, source, lane.passes[index], index < alignment.shared))
    return out.getvalue()


def texts_sentence(traces: Sequence[RunTrace], alignment: Alignment, name: Name) -> str:
    """Whether the texts are equal; if not, where they first differ and how sure the model was."""
    count = _count(alignment.shared, "token")
    if alignment.difference is None:
        both = "Both" if len(alignment.lanes) == 2 else f"All {len(alignment.lanes)}"
        return f"{both} texts are equal: {count}."
    listed = zip(alignment.lanes, alignment.difference.runs, strict=True)
    if alignment.verdict == "beginning":
        ended = ", ".join(lane.name for lane, chosen in listed if chosen.token is None)
        return f"The texts are equal up to the end of the shortest, {count}. Ended there: {ended}."
    choices = "; ".join(f"{lane.name} {_chosen(chosen, name)}" for lane, chosen in listed)
    return (
        f"The texts are equal for {count}, then they differ: {choices}. {_why(traces, alignment)}"
    )


def alike_sentences(alignment: Alignment) -> list[str]:
    """Which runs wrote the same text, where not all did."""
    names = [[alignment.lanes[run].name for run in group] for group in alignment.alike]
    return [
        f"{', '.join(group[:-1])} and {group[-1]} wrote the same text throughout."
        for group in names
    ]


def jump_sentence(alignment: Alignment, jump: Jump, traces: Sequence[RunTrace], name: Name) -> str:
    """One jump: which run, which step, over which tokens, and what the others took."""
    tokens = traces[jump.run].output_ids[jump.first - 1 : jump.last]
    others = ", ".join(
        f"{lane.name} {spent}"
        for run, (lane, spent) in enumerate(zip(alignment.lanes, jump.spent, strict=True))
        if run != jump.run
    )
    where = (
        f"tokens {jump.first} – {jump.last}" if jump.last > jump.first else f"token {jump.first}"
    )
    return (
        f"{alignment.lanes[jump.run].name}, step {jump.step}: {where}"
        f" ({' '.join(name(t) for t in tokens)}) in"
        f" {_count(jump.spent[jump.run], 'pass', 'passes')}; {others}."
    )


def _namer(traces: Sequence[RunTrace]) -> Name:
    """Names of the tokens of all runs: where texts differ, each run knows only its own tokens."""
    pieces = {t: piece for trace in traces for t, piece in trace.pieces.items()}
    partial_bytes = {t: b for trace in traces for t, b in trace.partial_bytes.items()}
    return namer(msgspec.structs.replace(traces[0], pieces=pieces, partial_bytes=partial_bytes))


def _why(traces: Sequence[RunTrace], alignment: Alignment) -> str:
    if alignment.may_differ:
        differing = " and ".join(_FACT_WORDS[key] for key in alignment.may_differ)
        return f"This is not an error: with {differing} the text may differ."
    if traces[0].info.dtype in HALF:
        return (
            f"In {traces[0].info.dtype}, rounding can flip a near-tie between the two best tokens."
            " If this was no near-tie, it is a bug."
        )
    return "With these settings the texts should be equal: this is a bug."


def _chosen(chosen: Chosen, name: Name) -> str:
    if chosen.token is None:
        return "had ended"
    margin = "" if chosen.margin is None else f", the two best {chosen.margin:.3f} apart"
    chance = (
        "" if chosen.probability is None else f" (probability {chosen.probability:.3f}{margin})"
    )
    return f"wrote {name(chosen.token)}{chance}"


def _accepted(trace: RunTrace) -> list[bool]:
    return [index < len(step.path) for step in trace.steps for index in range(len(step.emitted))]


def _count(number: int, noun: str, many: str = "") -> str:
    return f"{number} {noun if number == 1 else many or noun + 's'}"
