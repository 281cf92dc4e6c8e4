"""A diagnosis in English; a translation replaces this one file. No torch.

``explain`` gives two sentences a step: what happened, and what would have helped. A function of the
id names the tokens, so that the page and the command line can each name them in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tr_core.analysis.diagnosis import Reason, StepDiagnosis
from tr_core.analysis.replay import Addition, Certainty, WhatIf
from tr_core.analysis.row_history import Write
from tr_core.trace import STOP_REASONS, RunTrace
from tr_core.trace.labels import full_label

Name = Callable[[int], str]

REASON_WORDS: Mapping[Reason, str] = {
    "row_never_seen": "row never seen",
    "not_in_row": "token not in the row",
    "rank_cut": "in the row, but no child at that rank",
    "depth_limit": "depth limit",
    "stopped": "stopped",
    "no_draft": "nothing drafted",
    "other_token": "the draft went elsewhere",
    "budget_spent": "known, but budget spent elsewhere",
    "not_known": "token not among the candidates",
    "nothing_known": "nothing known there",
}

CERTAINTY_WORDS: Mapping[Certainty, str] = {
    "exact": "as recorded",
    "estimate": "estimate",
    "bound": "at most, with these rows",
    "not_recorded": "not in the record",
}

# How many entries of a row are named before “…”.
SHOWN = 4


def namer(trace: RunTrace) -> Name:
    """Names of a run's tokens, white space made visible, in quotation marks: “·fox”."""

    def name(token: int) -> str:
        piece = trace.pieces.get(token)
        # A hand-written trace may omit texts.
        return (
            f"token {token}"
            if piece is None
            else f"“{full_label(piece, trace.partial_bytes.get(token, ''))}”"
        )

    return name


def explain(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    """Two sentences: what ended the path of a step, and what would have helped."""
    return _SENTENCES[d.reason](d, name)


def explain_what_if(line: WhatIf) -> str:
    """One what-if, in a few words."""
    return {
        "recorded": "this run",
        "wider": "a wider tree: every rank at every node, same depth",
        "deeper": "a deeper tree: repeated below its last level",
        "any_tree": "any tree: every rank, any depth; all that the rows hold",
        "smaller_k": f"a smaller k: {line.k}",
        "larger_k": f"a larger k: {line.k}",
        "path_only": "only rows written by accepted nodes",
        "hot": "a hot matrix: unseen rows as later steps wrote them",
        "hot_at_best": "a hot matrix at best: all unseen rows right",
    }[line.kind]


def explain_addition(line: Addition) -> str:
    """One more node, in a few words."""
    return f"one more node: {list(line.ranks)}"


def caveats(trace: RunTrace, what_ifs: bool) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    listed = [
        "Lost tokens are counted step by step. What one step gains, the next can no longer gain,"
        " so no run could save their sum."
    ]
    if what_ifs:
        listed += [
            (
                "What-ifs replay the recorded rows along the recorded text. Another tree would also"
                " write other rows, a larger tree more of them. So a larger tree tends to gain more"
                " than shown, and a smaller one less."
            ),
            (
                f"The record holds the best k = {trace.info.k} candidates of each node and none"
                " below them, so a larger k cannot be replayed."
            ),
        ]
    elif trace.steps:
        records = (
            "drafts from more than rows" if any(s.rows for s in trace.steps) else "records no rows"
        )
        listed.append(f"The drafter {trace.info.drafter} {records}, so nothing can be replayed.")
    if trace.stop_reason is None and trace.steps:
        listed.append(
            "The run was interrupted: the losses of its last steps count only to the record's end."
        )
    return tuple(listed)


def _never_seen(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.drafted:
        first = (
            f"{_accepted(d)}: nothing could be drafted after {name(d.after)}, because its row had"
            f" never been written. The model continued with {name(d.token)}."
        )
    else:
        first = (
            f"Nothing could be drafted, because the row of {name(d.after)} had never been written."
            f" The model continued with {name(d.token)}."
        )
    return first, f"This pass wrote the row; {_hot(d)}."


def _not_in_row(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    first = (
        f"{_accepted(d)}: after {name(d.after)} the model chose {name(d.token)}{_chance(d)}, which"
        f" is not among the {len(d.row or ())} candidates of its row"
        f" ({_listed(d.row or (), name)})."
    )
    if d.evicted is not None:
        return (
            first,
            (
                f"The row held it until step {d.evicted.step}, when {_writer(d.evicted, name)}"
                " evicted it."
            ),
        )
    if d.written is None:
        return (
            first,
            (
                "The row dates from before step 1 (the prompt or an earlier run) and never held it"
                " in this run."
            ),
        )
    return (
        first,
        (
            f"The row never held it in this run; it was last written in step {d.written.step}, by"
            f" {_writer(d.written, name)}."
        ),
    )


def _rank_cut(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.below:
        drafted = f"the tree drafted only {_listed(d.below, name)} there"
    else:
        drafted = "the tree drafted nothing below that node"
    return (
        (
            f"{_accepted(d)}: the model chose {name(d.token)}, which was at rank {d.rank} in the"
            f" row of {name(d.after)}, but {drafted}."
        ),
        f"One more node{_at(d)} would have caught it{_more(d)}.",
    )


def _depth_limit(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    levels = "the one level" if d.accepted == 1 else f"all {d.accepted} levels"
    first = f"The path went through {levels} of its draft, down to {name(d.after)}."
    if d.rank is not None:
        return (
            first,
            (
                f"The next token, {name(d.token)}, was at rank {d.rank} in the row of"
                f" {name(d.after)}; one more node{_at(d)} would have caught it{_more(d)}."
            ),
        )
    if d.row is None:
        return (
            first,
            (
                f"The model continued with {name(d.token)}. The record does not say whether a"
                " longer draft would have had it."
            ),
        )
    why = (
        f"the row does not hold {name(d.token)}"
        if d.row
        else "the row of that token had never been written"
    )
    return first, f"A deeper tree would not have helped: {why}."


def _stopped(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    words = STOP_REASONS.get(d.stop or "", "the run was stopped")
    unused = "No further drafted token agreed with the model."
    if d.unused:
        unused = f"{_count(d.unused, 'more drafted token')} after the stop agreed with the model."
    return f"{_accepted(d)}: the run ended at {name(d.after)}, because {words}.", unused


def _no_draft(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    return (
        (
            f"Nothing was drafted after {name(d.after)}, so the pass gave only the model's own"
            f" token, {name(d.token)}."
        ),
        "Only a drafter that proposes something here could have saved a pass.",
    )


def _other_token(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    return (
        (
            f"{_accepted(d)}: after {name(d.after)} the draft continued with"
            f" {_listed(d.below, name)}, but the model chose {name(d.token)}{_chance(d)}."
        ),
        "The record holds no row that shows whether another draft would have had it.",
    )


def _budget_spent(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.below:
        drafted = f"the draft held only {_listed(d.below, name)} there"
    else:
        drafted = "the draft held nothing below that node"
    return (
        (
            f"{_accepted(d)}: after {name(d.after)} the model chose {name(d.token)}{_chance(d)},"
            f" which the drafter ranked number {(d.rank or 0) + 1} there, but {drafted}."
        ),
        "The drafter spent its nodes where it expected more: a larger tree could have held it.",
    )


def _not_known(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    drafted = f", and drafted {_listed(d.below, name)}" if d.below else ""
    return (
        (
            f"{_accepted(d)}: after {name(d.after)} the model chose {name(d.token)}{_chance(d)},"
            f" but the drafter knew only other tokens there{drafted}."
        ),
        "A larger tree would not have helped.",
    )


def _nothing_known(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    return (
        (
            f"{_accepted(d)}: the drafter knew nothing that could follow {name(d.after)}. The model"
            f" continued with {name(d.token)}{_chance(d)}."
        ),
        "A larger tree would not have helped; a drafter that had seen these tokens before might.",
    )


_SENTENCES: Mapping[Reason, Callable[[StepDiagnosis, Name], tuple[str, str]]] = {
    "row_never_seen": _never_seen,
    "not_in_row": _not_in_row,
    "rank_cut": _rank_cut,
    "depth_limit": _depth_limit,
    "stopped": _stopped,
    "no_draft": _no_draft,
    "other_token": _other_token,
    "budget_spent": _budget_spent,
    "not_known": _not_known,
    "nothing_known": _nothing_known,
}


def _accepted(d: StepDiagnosis) -> str:
    return f"{d.accepted} of {_count(d.drafted, 'drafted token')} accepted"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _chance(d: StepDiagnosis) -> str:
    return "" if d.probability is None else f" (probability {d.probability:.2f})"


def _listed(tokens: tuple[int, ...], name: Name) -> str:
    return ", ".join(name(t) for t in tokens[:SHOWN]) + (", …" if len(tokens) > SHOWN else "")


def _more(d: StepDiagnosis) -> str:
    """What the gain could have been with more than the one node."""
    if not d.lost:
        return ", but the text ended with it"
    further = d.lost - 1
    return f", and the rows held the next {_count(further, 'token')} too" if further else ""


def _at(d: StepDiagnosis) -> str:
    return f" at ranks {list(d.add or ())} from the root"


def _hot(d: StepDiagnosis) -> str:
    if not d.lost:
        return "nothing was lost, because the text ended there"
    more = f"{d.lost} more token{'' if d.lost == 1 else 's'}"
    return f"a matrix that already held it could have given {more} in this step"


def _writer(write: Write, name: Name) -> str:
    """Which node wrote a row, and the text that the model had read up to there."""
    text = " ".join(name(t) for t in write.context)
    node = {"root": "the root", "accepted": "an accepted node", "rejected": "a rejected node"}.get(
        write.status, "a node"
    )
    return f"{node} that read {text}"
