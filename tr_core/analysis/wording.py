"""A diagnosis in English: all words of it are here, so that a translation is one file. No torch.

``explain`` gives two sentences a step: what happened, and what would have helped. Tokens are named
by a function of their id, so that the page and the command line can name them each in its own way.
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
    "budget_spent": "known, but the budget went elsewhere",
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
        # A trace made by hand may leave texts out.
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
    """One way to draft otherwise, in a few words."""
    return {
        "recorded": "this run",
        "wider": "a wider tree: every rank at every node, as deep as now",
        "deeper": "a deeper tree: the same again below its last level",
        "any_tree": "any tree: every rank, any depth; what the rows hold",
        "smaller_k": f"a smaller k: {line.k}",
        "larger_k": f"a larger k: {line.k}",
        "path_only": "rows written by accepted nodes only",
        "hot": "a hot matrix: unseen rows as another place wrote them",
        "hot_at_best": "a hot matrix at best: all unseen rows right",
    }[line.kind]


def explain_addition(line: Addition) -> str:
    """One more node, in a few words."""
    return f"one more node: {list(line.ranks)}"


def caveats(trace: RunTrace, what_ifs: bool) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    listed = [
        "Tokens lost are counted for each step alone: what one step gains, the next can no longer"
        " gain, so a run could not save their sum."
    ]
    if what_ifs:
        listed += [
            (
                "What-ifs replay the recorded rows along the recorded text. Another tree would also"
                " have written other rows, a larger one more of them: so it gains rather more than"
                " shown, and a smaller one rather less."
            ),
            (
                f"The record holds k = {trace.info.k} candidates a node and not what stood behind"
                " them, so a larger k cannot be replayed."
            ),
        ]
    elif trace.steps:
        records = (
            "drafts from more than rows" if any(s.rows for s in trace.steps) else "records no rows"
        )
        listed.append(f"The drafter {trace.info.drafter} {records}, so nothing can be replayed.")
    if trace.stop_reason is None and trace.steps:
        listed.append(
            "The run was interrupted: what its last steps lost is cut where the record ends."
        )
    return tuple(listed)


def _never_seen(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.drafted:
        first = (
            f"{_accepted(d)}: nothing could be drafted after {name(d.after)}, since its row had"
            f" never been written; the model went on with {name(d.token)}."
        )
    else:
        first = (
            f"Nothing could be drafted, since the row of {name(d.after)} had never been written; "
            f"the model went on with {name(d.token)}."
        )
    return first, f"This pass has written the row; {_hot(d)}."


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
                f"It had been there until step {d.evicted.step}, when {_place(d.evicted, name)}"
                " evicted it."
            ),
        )
    if d.written is None:
        return (
            first,
            (
                "The row is from before step 1, from the prompt or an earlier run, and never held"
                " it in this run."
            ),
        )
    return (
        first,
        (
            f"It never was there in this run; the row was last written in step {d.written.step}, "
            f"by {_place(d.written, name)}."
        ),
    )


def _rank_cut(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.below:
        drafted = f"the tree drafted only {_listed(d.below, name)} there"
    else:
        drafted = "the tree drafted nothing below that node"
    return (
        (
            f"{_accepted(d)}: the model chose {name(d.token)}, which stood at rank {d.rank} of the"
            f" row of {name(d.after)}, but {drafted}."
        ),
        f"One more node{_at(d)}, would have caught it{_more(d)}.",
    )


def _depth_limit(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    levels = "the one level" if d.accepted == 1 else f"all {d.accepted} levels"
    first = f"The path went through {levels} of its draft, down to {name(d.after)}."
    if d.rank is not None:
        return (
            first,
            (
                f"The next token, {name(d.token)}, stood at rank {d.rank} of the row below; one"
                f" more node{_at(d)}, would have caught it{_more(d)}."
            ),
        )
    if d.row is None:
        return (
            first,
            (
                f"The model went on with {name(d.token)}; whether a longer draft would have had it"
                " is not recorded."
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
    unused = "No agreed token was left over."
    if d.unused:
        unused = (
            f"{_count(d.unused, 'drafted token')} more that the model agreed with stood behind the"
            " stop."
        )
    return f"{_accepted(d)}: the run ended at {name(d.after)}, because {words}.", unused


def _no_draft(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    return (
        (
            f"Nothing was drafted after {name(d.after)}, so the pass gave the model's own token"
            f" alone, {name(d.token)}."
        ),
        "Only a drafter that proposes something here could have saved a pass.",
    )


def _other_token(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    return (
        (
            f"{_accepted(d)}: after {name(d.after)} the draft went on with"
            f" {_listed(d.below, name)}, but the model chose {name(d.token)}{_chance(d)}."
        ),
        "The record holds no row that tells whether another draft would have had it.",
    )


def _budget_spent(d: StepDiagnosis, name: Name) -> tuple[str, str]:
    if d.below:
        drafted = f"the draft held only {_listed(d.below, name)} there"
    else:
        drafted = "the draft held nothing below that node"
    return (
        (
            f"{_accepted(d)}: after {name(d.after)} the model chose {name(d.token)}{_chance(d)},"
            f" which the drafter knew there in place {(d.rank or 0) + 1}, but {drafted}."
        ),
        "The nodes went where the drafter expected more: a larger tree could have held it.",
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
            f"{_accepted(d)}: the drafter knew nothing that could follow {name(d.after)}; the model"
            f" went on with {name(d.token)}{_chance(d)}."
        ),
        "A larger tree would not have helped; a drafter that had met these tokens before might.",
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
    return (
        f", and the rows held {_count(further, 'token')} more of the text behind it"
        if further
        else ""
    )


def _at(d: StepDiagnosis) -> str:
    return f", at the ranks {list(d.add or ())} from the root"


def _hot(d: StepDiagnosis) -> str:
    if not d.lost:
        return "nothing was lost, for the text ended there"
    return (
        f"a matrix that already knew it could have given {_count(d.lost, 'token')} more in this"
        " step"
    )


def _place(write: Write, name: Name) -> str:
    """Which node wrote a row, told by what the model read there."""
    text = " ".join(name(t) for t in write.context)
    node = {"root": "the root", "accepted": "an accepted node", "rejected": "a rejected node"}.get(
        write.status, "a node"
    )
    return f"{node} that read {text}"
