"""Traces go to JSON and back, and broken ones are refused with a sentence."""

import json

import msgspec
import pytest

from tests.support.toy import ToyTarget, ToyVocabulary
from tr_core import RunTrace, Session, Settings
from tr_core.analysis import metrics
from tr_core.decoding.recording import record
from tr_core.errors import TraceError
from tr_core.trace import RowChange
from tr_core.trace.labels import visible_piece


@pytest.fixture(scope="module")
def trace():
    table = {0: [1, 2], 1: [2, 3], 2: [3, 0], 3: [0, 1]}
    return record(
        Session(ToyTarget(table), Settings(tree="small-8", max_new_tokens=20)).start([0, 1, 2])
    )


def test_there_and_back(trace):
    assert RunTrace.from_json(trace.to_json()) == trace
    assert RunTrace.from_json(trace.to_json().encode()) == trace


def test_every_token_has_its_text(trace):
    told = json.loads(trace.to_json())
    assert told["pieces"]["3"] == "d"
    mentioned = {t for s in trace.steps for t in (*s.tokens, *s.choices, *s.emitted)}
    assert mentioned <= trace.pieces.keys()


def test_it_tells_enough_to_run_again(trace):
    assert trace.info.prompt_ids == (0, 1, 2)
    again = Settings(**{**trace.info.settings, "stop": tuple(trace.info.settings["stop"])})
    assert again == Settings(tree="small-8", max_new_tokens=20)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t[: len(t) // 2], "not a complete trace"),
        (lambda t: "", "not a complete trace"),
        (lambda t: "[1, 2]", "not a complete trace"),
        (lambda t: t.replace('"schema":1', '"schema":2'), "newer than schema 1"),
        (lambda t: t.replace('"schema":1', '"schema":0'), "older than schema 1"),
        (lambda t: t.replace('"path":[', '"way":['), "damaged"),
        (lambda t: t.replace('"committed":3', '"committed":"three"'), "damaged"),
    ],
)
def test_broken_files_are_refused(trace, spoil, reason):
    with pytest.raises(TraceError, match=reason):
        RunTrace.from_json(spoil(trace.to_json()))


def test_parts_that_do_not_fit_each_other_are_refused(trace):
    step = trace.steps[0]
    for spoiled in (
        msgspec.structs.replace(step, tokens=step.tokens[:-1]),
        msgspec.structs.replace(step, emitted=(*step.emitted, 1)),
        msgspec.structs.replace(step, unseen=(999,)),
    ):
        broken = msgspec.structs.replace(trace, steps=(spoiled,))
        with pytest.raises(TraceError, match="step 1 do not fit"):
            RunTrace.from_json(broken.to_json())


def test_a_row_tells_what_happened_to_each_place():
    change = RowChange(token=9, node=0, before=(1, 2, 3, 4), after=(1, 3, 5, 2))
    assert change.changes == ("kept", "moved", "fresh", "moved")
    assert change.evicted == (4,)
    assert RowChange(token=9, node=0, before=(), after=(1, 2)).changes == ("fresh", "fresh")


def test_stray_bytes_are_shown_as_such():
    assert visible_piece(b" caf\xc3\xa9") == " café"
    assert visible_piece(b" \xf0\x9f") == " <0xF0><0x9F>"


def test_metrics_of_a_run_made_by_hand(trace):
    # a→b→c→d→a…: the first steps learn, the later ones are right all the way down.
    assert metrics.mean_accepted_tokens(trace.steps) == 20 / len(trace.steps)
    assert metrics.accepted_by_depth(trace.steps)[1] == sum(
        bool(s.path) for s in trace.steps
    ) / len(trace.steps)
    accepted = sum(len(s.path) for s in trace.steps)
    drafted = sum(8 - len(s.unseen) for s in trace.steps)
    assert (
        metrics.acceptance_rate(trace.steps)
        == accepted / drafted
        > accepted / (8 * len(trace.steps))
    )
    by_rank = metrics.by_rank(trace.steps)
    assert by_rank[0].rate > by_rank[1].rate == 0
    assert (
        metrics.mean_accepted_tokens([])
        == metrics.tokens_per_second([])
        == metrics.acceptance_rate([])
        == 0
    )


def test_toy_vocabulary_reads_as_expected():
    assert ToyVocabulary().decode([2, 0, 1]) == "cab"
