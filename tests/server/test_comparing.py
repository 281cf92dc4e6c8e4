"""A prompt run again with other settings, without a browser: what the Compare button yields, and
what is kept.
"""

from __future__ import annotations

import csv

import pytest

import viz
from tests.support import viz_runs
from tests.support.hand_lanes import X, Y, Z
from tests.support.page_runs import loaded_models, read, request, types
from tr_core.errors import CompareError, SettingsError
from ui.server.limits import Limits
from ui.tab.compare import KEPT, choices, variation
from ui.tab.tab import Tab


@pytest.fixture
def tab():
    limits = Limits(max_new_tokens=50, max_prompt_chars=100)
    return Tab(loaded_models(limits), limits)


def test_a_run_and_its_variations_come_one_after_another(tab):
    records = read(tab.compare(request(), ["drafter none", "k 4", "hot"]))
    # The first run streams as always; then it lies in the panel, and the others join it whole.
    kinds = [r["type"] for r in records]
    assert kinds[0] == "start"
    assert kinds.count("compare") == 4
    first, *others = [r for r in records if r["type"] == "compare"]
    assert (first["known"], first["runs"], first["anew"]) == ([records[0]["run"]], [], True)
    assert [(r["known"], r["anew"]) for r in others] == [([], False)] * 3
    facts = [r["runs"][0]["start"]["facts"] for r in others]
    assert [f["drafter"] for f in facts] == ["none", "token_recycling", "token_recycling"]
    assert [f["k"] for f in facts] == ["", "k 4", "k 8"]
    assert [f["start"] for f in facts] == ["", "cold", "hot"]
    assert len({r["runs"][0]["run"] for r in others}) == 3
    # Every run was checked, and wrote the same.
    assert {r["runs"][0]["end"]["identical"] for r in others} == {True}
    assert len({r["runs"][0]["end"]["text"] for r in others}) == 1
    # Its progress was told, up to its last token; and at the end that there is no more to wait for.
    progress = [(r["words"], r["done"], r["of"]) for r in records if r["type"] == "progress"]
    assert ("drafter none", 1, 12) in progress
    assert ("hot", 12, 12) in progress
    assert progress[-1] == (None, 0, 0)
    assert kinds.count("analysis") == 3


def test_what_has_been_run_already_is_not_run_again(tab):
    list(tab.run(request()))
    kinds = types(tab.compare(request(), ["drafter none"]))
    assert "start" not in kinds
    assert kinds[0] == "compare"


def test_stop_ends_the_run_out_of_sight_and_keeps_what_it_wrote(tab):
    records = tab.compare(request(max_new_tokens=40), ["drafter none", "k 4"])
    rest = []
    for record in records:
        rest += read([record])
        if rest[-1]["type"] == "progress" and rest[-1]["done"] == 3:
            assert [r["type"] for r in read(tab.step(request()))] == ["error"]
            assert "under way in this tab" in next(tab.compare(request(), ["k 4"]))
            tab.stop()
    last = [r for r in rest if r["type"] == "compare"][-1]
    assert 3 <= sum(len(s["emitted"]) for s in last["runs"][0]["steps"]) < 40
    assert [r["type"] for r in rest].count("compare") == 2, "the third run was not begun"
    assert rest[-1]["words"] is None
    # And the tab is free again.
    assert types(tab.step(request()))[0] == "start"


def test_stop_in_the_first_run_leaves_it_at_that(tab):
    records = tab.compare(request(), ["drafter none"])
    next(records)
    tab.stop()
    assert "compare" not in types(records)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "Choose one to 3 settings"),
        (["k 1"] * 4, "Choose one to 3 settings"),
        (["oak"], "is nothing to compare with"),
        (["tree oak"], "“tree oak” does not fit"),
        (["tree /etc/passwd"], "does not fit"),
        (["k banana"], "does not fit"),
        (["model a b"], "does not fit"),
        (["k 0"], "k must be a whole number"),
        (["k 8"], "“k 8” changes nothing"),
        (["top_p 0.5"], "only matter when sampling"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_run(tab, texts, words):
    (record,) = read(tab.compare(request(), texts))
    assert record["type"] == "error"
    assert words in record["sentence"]
    assert tab.workspace.trace is None


def test_a_variation_that_the_model_refuses_is_told_and_the_others_go_on(tab):
    records = read(tab.compare(request(), ["tree paper, k 4", "drafter none"]))
    errors = [r["sentence"] for r in records if r["type"] == "error"]
    assert len(errors) == 1
    assert "k ≥ 8" in errors[0]
    assert [r["type"] for r in records].count("compare") == 2


def test_several_settings_in_one_variation():
    base = request()
    found = variation("tree 24,  K 4, hot", base)
    assert (found.settings.tree, found.settings.k, found.hot, found.prompt) == (
        "24",
        4,
        True,
        base.prompt,
    )
    assert variation("top-p 0.9, temperature 0.5", base).settings.top_p == 0.9
    with pytest.raises(SettingsError, match="changes nothing"):
        variation("cold", base)


def test_all_that_the_page_offers_fits():
    for label, text in choices():
        assert label
        base = (
            request(tree="12", drafter="other")
            if text.startswith("drafter")
            else request(tree="12")
        )
        assert variation(text, base) == variation(label, base) != base


@pytest.fixture
def files(tmp_path):
    def write(*traces):
        paths = [tmp_path / f"{place}.json" for place in range(len(traces))]
        for path, trace in zip(paths, traces, strict=True):
            path.write_text(trace.to_json(), encoding="utf-8")
        return paths

    return write


def test_several_files_lie_side_by_side_and_are_saved_together(tab, files, tmp_path):
    run, compare, *analyses = read([tab.open(files(X, Y, Z))])
    assert (run["type"], compare["type"]) == ("run", "compare")
    names = [r["run"] for r in compare["runs"]]
    assert names == [viz.run_name(t) for t in (X, Y, Z)] == [a["run"] for a in analyses]
    assert tab.workspace.trace == X
    tab.comparing.keep(names[1], shown=True)
    assert tab.workspace.trace == Y, "what the reader looks at is what is saved"
    path = tab.comparing.save(tmp_path, "csv", names)
    assert path.endswith("comparison.csv")
    with open(path, encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 18
    assert tab.comparing.save(tmp_path, "html", names[:2]).endswith("comparison.html")
    with pytest.raises(CompareError, match="no longer kept"):
        tab.comparing.save(tmp_path, "csv", [names[0], "gone"])
    with pytest.raises(CompareError, match="2 to 4 runs"):
        tab.comparing.save(tmp_path, "csv", names[:1])


def test_files_that_do_not_belong_together_change_nothing(tab, files):
    (record,) = read([tab.open(files(X, viz_runs.tiny_run()))])
    assert "another prompt" in record["sentence"]
    broken = files(X, Y)
    broken[1].write_text("{")
    (record,) = read([tab.open(broken)])
    assert "not a complete trace" in record["sentence"]
    assert tab.workspace.trace is None


def test_an_own_run_is_remembered_when_it_is_kept_and_can_be_gone_on_with(tab, tmp_path):
    list(tab.step(request()))
    name = tab.workspace.own_name
    tab.comparing.keep(name)
    for index in range(KEPT + 2):
        tab.comparing.put(str(-index), X)
    with pytest.raises(CompareError, match="no longer kept"):
        tab.comparing.save(tmp_path, "csv", ["0", name])
    tab.comparing.keep("-9", shown=True)
    assert tab.workspace.trace == X
    tab.comparing.keep(name, shown=True)
    assert types(tab.step(request())) == ["step"], "the own run goes on"
