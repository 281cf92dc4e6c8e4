"""The panels in a real browser, on runs made by hand where all that they show is known."""

from __future__ import annotations

import json

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.explorer_tab import button, feed, press, settle, where
from tests.support.hand_runs import A, B, run, step, telling_run
from tr_core.trace import BudgetChoice, Source
from tr_core.trees.templates import chain, grown
from viz.records.analysis_record import FIGURES

TELLING = telling_run()
PANELS = {
    "diagnosis": "Diagnosis",
    "metrics": "Metrics",
    "compare": "Compare",
    "attention": "Attention mask",
    "matrix-map": "Matrix map",
    "cost": "ms and bytes",
    "budget": "Why so many nodes?",
    "sources": "Sources",
}


def show(page, trace, panel, step=1, phase="accept", **more):
    feed(
        page,
        viz.run_record(trace),
        viz.analysis_record(trace),
        viz.view_record(step, phase, panel=panel, **more),
    )


def tab(page, panel):
    return page.get_by_role("tab", name=PANELS[panel], exact=True)


def opened(page):
    return page.locator("[data-panel]").evaluate_all(
        "all => all.filter(e => e.offsetParent).map(e => e.dataset.panel)"
    )


def lines(page, caption):
    """Cells of a table, line by line."""
    table = page.locator("#tr-explorer table").filter(has=page.locator("caption", has_text=caption))
    return table.locator("tbody tr").evaluate_all(
        "all => all.map(row => [...row.cells].map(c => c.innerText.trim()))"
    )


def marked(page):
    """Words of the marks, and how many wedges the chart of steps has."""
    wedges = page.locator(".tr-chart-marks").get_attribute("d").count("M")
    return page.locator(".tr-marks-words").inner_text(), wedges


def cells(page, layer):
    return (page.locator(f".tr-mask > .tr-mask-{layer}").get_attribute("d") or "").count("M")


# — the host —


def test_panels_are_folded_until_one_is_asked_for(page):
    feed(page, viz.reset_record())
    assert not page.locator(".tr-panels").is_visible()
    feed(page, viz.run_record(TELLING))
    assert page.get_by_role("tab").all_inner_texts() == list(PANELS.values())
    assert opened(page) == []
    tab(page, "attention").click()
    settle(page)
    assert opened(page) == ["attention"]
    assert tab(page, "attention").get_attribute("aria-selected") == "true"
    tab(page, "cost").click()
    settle(page)
    assert opened(page) == ["cost"]
    tab(page, "cost").click()
    settle(page)
    assert opened(page) == []


def test_tabs_are_one_stop_with_arrows_inside(page):
    feed(page, viz.run_record(TELLING), viz.view_record(2, "accept"))
    assert page.locator("[role=tab][tabindex='0']").count() == 1
    tab(page, "diagnosis").focus()
    press(page, "ArrowRight")
    assert (opened(page), where(page)) == (
        [],
        (2, 5, "accept"),
    ), "looking for a panel moves nothing"
    press(page, "ArrowLeft", "Enter")
    assert opened(page) == ["diagnosis"]
    press(page, "ArrowLeft")
    assert opened(page) == ["sources"]
    assert page.evaluate("document.activeElement.textContent") == PANELS["sources"]
    press(page, "Home")
    assert opened(page) == ["diagnosis"]
    assert page.get_by_role("tabpanel").get_attribute("aria-labelledby") == "tr-tab-diagnosis"


def test_a_view_record_opens_panels_and_selects(page):
    show(page, TELLING, "attention", 4, node=3)
    assert (opened(page), where(page)[0]) == (["attention"], 4)
    assert page.locator("[data-node='3']").get_attribute("class").split()[-1] == "tr-chosen"
    feed(page, viz.view_record(1, row=B))
    assert opened(page) == ["attention"], "what a view does not name stays"
    assert page.locator("[data-row='1']").get_attribute("class").split()[-1] == "tr-chosen"
    feed(page, viz.view_record(1, panel=None))
    assert opened(page) == []
    feed(page, viz.view_record(1, panel="no such panel"))
    assert opened(page) == []


@pytest.mark.parametrize(
    "trace",
    [
        viz_runs.tiny_run(),
        viz_runs.toy_run(9, template=chain(4), stop_reason="eos", cut=1),
        viz_runs.toy_run(4, template=chain(0)),
        viz_runs.toy_run(3, template=grown(512)),
        run([A], step([], [B], root=A), drafter="none"),
    ],
    ids=["tiny", "chain", "root alone", "512 nodes", "no matrix"],
)
def test_every_panel_draws_every_run(page, trace):
    feed(page, viz.run_record(trace), viz.analysis_record(trace))
    for panel in PANELS:
        for number in range(1, len(trace.steps) + 1):
            feed(page, viz.view_record(number, panel=panel))
        text = page.locator(f"[data-panel={panel}]").inner_text()
        assert text
        assert not any(word in text for word in ("undefined", "NaN", "=>", "[object", "Infinity"))


# — diagnosis —


def test_each_step_is_explained_in_two_sentences(page):
    show(page, TELLING, "diagnosis", 3)
    assert page.locator(".tr-why-step > *").all_inner_texts() == [
        "Why step 3 ended: token evicted from the row",
        (
            "0 of 3 drafted tokens accepted: after “a” the model chose “c” (probability 0.75),"
            " which is not among the 2 candidates of its row (“b”, “d”)."
        ),
        "The row held it until step 1, when the root that read “b” “a” evicted it.",
    ]
    press(page, "ArrowRight")
    assert "Why step 4 ended: depth limit" in page.locator(".tr-why-step").inner_text()


def test_counts_costs_and_what_ifs(page):
    show(page, TELLING, "diagnosis")
    assert lines(page, "Why paths ended") == [
        ["row never seen", "1", "1"],
        ["token evicted from the row", "1", "2"],
        ["in the row, but no child at that rank", "1", "1"],
        ["depth limit", "1", "1"],
        ["stopped", "1", "0"],
    ]
    assert lines(page, "Tokens after which the run lost most") == [
        ["“c”", "2", "2"],
        ["“a”", "1", "2"],
        ["“b”", "1", "1"],
    ]
    what_ifs = lines(page, "What would have helped")
    assert what_ifs[1] == [
        "a wider tree: every rank at every node, same depth", "4", "2.00", "1",
        "at most, with these rows",
    ]  # fmt: skip
    assert what_ifs[-1] == ["a larger k: 4", "–", "–", "–", "not in the record"]
    assert lines(page, "One more node") == [["[0, 1]", "1", "1"], ["[0, 0, 0]", "1", "1"]]
    assert "a larger k cannot be replayed" in page.locator(".tr-notes").inner_text()


def test_a_reason_marks_its_steps_and_leads_through_them(page):
    trace = viz_runs.toy_run(40, stop_reason="eos")
    show(page, trace, "diagnosis", 1)
    why = [line[0] for line in json.loads(viz.analysis_record(trace))["why"]]
    cut = [number for number, reason in enumerate(why, 1) if reason == "rank_cut"]
    reason = button(page, "in the row, but no child at that rank")
    reason.click()
    settle(page)
    assert marked(page) == (
        f"in the row, but no child at that rank: 1 of {len(cut)} steps",
        len(cut),
    )
    assert reason.get_attribute("aria-pressed") == "true"
    assert where(page)[0] == cut[0], "the first of them is shown"
    for expected in cut[1:4]:
        button(page, "Next marked step").click()
        settle(page)
        assert where(page)[0] == expected
    press(page, "Shift+N")
    assert where(page)[0] == cut[2]
    press(page, "End", "n", "Shift+N")
    assert where(page)[0] == max(n for n in cut if n < 40)
    button(page, "Remove the marks").click()
    settle(page)
    assert not page.locator(".tr-marks").is_visible()
    assert reason.get_attribute("aria-pressed") == "false"


def test_a_costly_token_leads_to_its_steps(page):
    show(page, TELLING, "diagnosis", 1)
    button(page, "“c”").click()
    settle(page)
    assert (marked(page), where(page)[0]) == (("ended after “c”: 1 of 2 steps", 2), 2)
    button(page, "“c”").click()
    settle(page)
    assert not page.locator(".tr-marks").is_visible(), "pressed again it lets go"


def test_a_live_run_is_diagnosed_after_each_step(page):
    def so_far(steps):
        return msgspec.structs.replace(TELLING, steps=TELLING.steps[:steps], stop_reason=None)

    feed(page, viz.start_record("live", TELLING.info, TELLING.pieces))
    for number, one in enumerate(TELLING.steps, 1):
        feed(
            page,
            viz.step_record("live", one, {}, running=False),
            viz.view_record(number, panel="diagnosis"),
        )
        assert "Working this out" in page.locator(".tr-why-step").inner_text()
        feed(page, viz.analysis_record(so_far(number), "live"))
        assert f"Why step {number} ended" in page.locator(".tr-why-step").inner_text()
        assert sum(int(line[1]) for line in lines(page, "Why paths ended")) == number
    button(page, "stopped").click()
    feed(page, viz.analysis_record(so_far(2), "live"), viz.analysis_record(TELLING, "another"))
    assert len(lines(page, "Why paths ended")) == 5, (
        "an older one, or another run's, changes nothing"
    )
    assert marked(page) == ("stopped: 1 of 1 step", 1)


# — attention —


def test_the_mask_lets_each_node_see_its_ancestors_and_itself(page):
    show(page, TELLING, "attention", 4)  # root 0, its children 1 and 2, and 3 below 1
    assert (cells(page, "self"), cells(page, "seen"), cells(page, "unseen")) == (4, 1 + 1 + 2, 0)
    picture = page.locator(".tr-mask")
    assert "All 4 see the prefix of 5 tokens" in picture.get_attribute("aria-label")
    assert "8 of 16 pairs are open" in picture.get_attribute("aria-label")
    # Siblings stand at one position, which is written once.
    assert page.locator(".tr-mask-positions text").all_text_contents() == [
        "5",
        "6",
        "7",
        "position",
    ]
    assert page.locator(".tr-mask-heads text").all_text_contents() == [
        "prefix: 5",
        "the 4 tokens of this pass",
    ]
    # A bracket for each of three positions, and one for the two siblings.
    assert cells(page, "bracket") == 4
    feed(page, viz.view_record(2, "accept"))
    assert (cells(page, "seen"), cells(page, "unseen"), cells(page, "self")) == (0, 4, 4)


def test_tree_and_mask_light_each_other(page):
    trace = viz_runs.toy_run(12)
    show(page, trace, "attention", 12)
    parents = trace.steps[-1].parents
    deep = len(parents) - 1
    way = [deep]
    while parents[way[-1]] >= 0:
        way.append(parents[way[-1]])
    lit = (
        "e => [...e.querySelectorAll('[data-node]:is(.tr-hot, .tr-on-way)')].map(n =>"
        " +n.dataset.node)"
    )
    page.locator(f"[data-node='{deep}']").hover()
    settle(page)
    assert page.locator("#tr-explorer").evaluate(lit) == sorted(way)
    assert (cells(page, "lit"), cells(page, "band")) == (len(way), 1)
    page.locator(".tr-mask").scroll_into_view_if_needed()
    box = page.locator(".tr-mask").bounding_box()
    cell = (box["height"] - 22) / 81
    page.mouse.move(box["x"] + 100, box["y"] + 20 + cell * (deep + 0.5))
    settle(page)
    assert page.locator("#tr-explorer").evaluate(lit) == sorted(way)
    assert f"Node {deep}" in page.locator(".tr-mask-said").inner_text()
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(1, 1)
    settle(page)
    assert page.locator("[data-node].tr-chosen").get_attribute("data-node") == str(deep)


def test_rows_of_the_mask_by_keyboard_and_in_words(page):
    show(page, TELLING, "attention", 4)
    page.get_by_role("group", name="Attention mask; arrow keys choose a row").focus()
    press(page, "ArrowUp", "ArrowDown", "ArrowUp")
    said = page.locator(".tr-mask-said")
    assert said.locator("p").all_inner_texts() == [
        "Node 2, “b”, is at position 6.",
        "It sees 5 tokens of the prefix, “c”, and itself.",
        "1 other node is at position 6 too, including 1 sibling: they do not see each other.",
    ]
    press(page, "ArrowDown")
    assert "It sees 5 tokens of the prefix, “c” → “a”, and itself." in said.inner_text()
    assert where(page) == (4, 5, "accept"), "the arrows are the mask's own there"


# — matrix map —


def test_the_map_tells_rows_as_they_were_after_the_step(page):
    show(page, TELLING, "matrix-map", 1)
    assert lines(page, "Rows that lost most") == [
        ["“a”", "1", "1", "0 steps"], ["“b”", "1", "0", "0 steps"], ["“d”", "1", "0", "0 steps"],
    ]  # fmt: skip
    feed(page, viz.view_record(5))
    assert lines(page, "Rows that lost most") == [
        ["“a”", "4", "2", "0 steps"],
        ["“c”", "2", "1", "1 step"],
        ["“b”", "1", "0", "4 steps"],
        ["“d”", "1", "0", "4 steps"],
    ]
    filled = """canvas => { const context = canvas.getContext("2d"), dot = 12;
      return [...Array(10).keys()]
        .filter(i => context.getImageData(i * dot + 4, 4, 1, 1).data[3] > 0) }"""
    assert page.locator(".tr-map-canvas").evaluate(filled) == [0, 1, 2, 3]
    feed(page, viz.view_record(1))
    assert page.locator(".tr-map-canvas").evaluate(filled) == [
        0,
        1,
        3,
    ], "the row of c is written by step 2"


def test_who_lost_a_token_is_found_in_three_actions(page):
    feed(page, viz.run_record(TELLING))
    tab(page, "matrix-map").click()
    page.get_by_label("Find a row, or rows that lost a token").fill("c")
    settle(page)
    # c itself is written in steps 2 and 4; the rows of a and b lost … only that of a lost c.
    assert lines(page, "Rows of the tokens found") == [["“c”", "2", "1", "1 step"]]
    assert lines(page, "Rows that lost the tokens found") == [["“a”", "“c”", "step 1"]]
    button(page, "“a”").click()
    settle(page)
    assert where(page) == (1, 5, "recycle")
    assert page.locator("[data-row].tr-chosen").get_attribute("data-row") == str(A)
    page.get_by_label("Find a row, or rows that lost a token").fill("zzz")
    settle(page)
    assert page.get_by_text("No row of this run has such a token").is_visible()


def test_a_row_leads_to_the_steps_that_wrote_it(page):
    show(page, TELLING, "matrix-map", 5)
    button(page, "“c”").click()
    settle(page)
    assert marked(page) == ("row of “c” written: 2 steps", 2)
    press(page, "Shift+N")
    assert where(page)[0] == 4
    page.locator(".tr-map-canvas").hover(position={"x": 4, "y": 4})
    settle(page)
    assert (
        page.locator(".tr-map-readout").inner_text()
        == "Row of “a” (id 0): written 3 times, last in step 4; it lost 2 candidates."
    )
    page.mouse.down()
    page.mouse.up()
    settle(page)
    assert marked(page) == ("row of “a” written: 3 of 4 steps", 4)


# — ms and bytes —


def test_bytes_and_milliseconds_of_a_step_and_the_run(page):
    info = msgspec.structs.replace(
        TELLING.info, weight_bytes=100_000_000, cache_bytes_per_token=1_000_000
    )
    show(page, msgspec.structs.replace(TELLING, info=info), "cost", 1)
    assert (
        page.locator(".tr-cost > p").first.inner_text()
        == "This step read 105 MB for 4 tokens; a pass over its root alone would have read 102 MB."
        " It emitted 2 tokens: plain decoding reads 1.95 × as much for that."
    )
    assert lines(page, "Bytes read for the tokens of step 1") == [
        ["1 pass over a tree", "100 MB", "5.00 MB", "105 MB", "52.5 MB"],
        ["2 plain passes", "200 MB", "5.00 MB", "205 MB", "103 MB"],
    ]
    assert lines(page, "Milliseconds") == [
        ["step 1", "1.00", "10.0", "2.00", "3.00", "16.0", "8.00"],
        ["all 5 steps", "5.00", "50.0", "10.0", "15.0", "80.0", "10.0"],
    ]


def test_what_the_record_does_not_hold_is_said(page):
    show(page, TELLING, "cost", 1)
    assert "does not say how many bytes its model reads" in page.locator(".tr-cost").inner_text()
    assert "This run did not measure a plain step" in page.locator(".tr-cost").inner_text()


# — why so many nodes —


def budgeted(*choices):
    """The telling run with these choices of a budget in its first steps."""
    steps = [
        msgspec.structs.replace(s, budget=b) for s, b in zip(TELLING.steps, choices, strict=False)
    ]
    info = msgspec.structs.replace(TELLING.info, tree="auto", cost={0: 2.0, 8: 5.0})
    return msgspec.structs.replace(TELLING, info=info, steps=(*steps, *TELLING.steps[len(steps) :]))


def test_a_budget_is_told_in_a_sentence_a_plot_and_a_table(page):
    weighed = {"sizes": (0, 2, 4, 8), "expected": (1.0, 1.5, 2.0, 2.2), "ms": (2.0, 2.5, 2.5, 5.0)}
    trace = budgeted(
        BudgetChoice(4, "best", 3, **weighed),
        BudgetChoice(2, "kept", 0, **weighed),
        BudgetChoice(0, "plain", 0, **weighed),
        BudgetChoice(0, "unseen", 0, (0,), (1.0,), (2.0,)),
    )
    show(page, trace, "budget", 1)
    answer = page.locator(".tr-budget-answer")
    assert (
        answer.inner_text()
        == "4 nodes in step 1: that size promised most, 800 tokens per second against 500 for plain"
        " decoding."
    )
    assert lines(page, "Sizes compared") == [
        ["0", "2.00", "1.00", "500.0", ""],
        ["2", "2.50", "1.50", "600.0", ""],
        ["4", "2.50", "2.00", "800.0", "◆ chosen · best"],
        ["8", "5.00", "2.20", "440.0", ""],
    ]
    charts = page.locator(".tr-budget-chart")
    assert charts.locator("figcaption").all_inner_texts() == [
        "t(N): milliseconds of a step", "E(N): tokens expected", "E(N) / t(N): tokens per second",
    ]  # fmt: skip
    assert charts.locator(".tr-budget-value").all_text_contents() == ["2.5", "2.00", "800"]
    label = charts.locator("svg").nth(2).get_attribute("aria-label")
    assert (
        label
        == "E(N) / t(N): tokens per second, by number of nodes: 0: 500, 2: 600, 4: 800, 8: 440."
    )
    said = []
    for number in (2, 3, 4):
        feed(page, viz.view_record(number))
        said.append(answer.inner_text())
    assert said == [
        (
            "2 nodes in step 2, as before: the best size, 4, promised hardly more (800 tokens per"
            " second)."
        ),
        (
            "No draft in step 3: the best size, 4 nodes, promised 800 tokens per second, too little"
            " above the 500 of plain decoding."
        ),
        (
            "No draft in step 4: the root's row was never written, so there was nothing to draft"
            " from."
        ),
    ]


def test_a_draft_that_was_grown_was_weighed_by_what_its_time_is_worth(page):
    promised = {"sizes": (0, 2, 4), "expected": (1.0, 1.6, 1.7), "later": (0.0, 0.2, 0.3)}
    weighed = promised | {"ms": (10.0, 11.0, 13.0), "rate": 0.15}
    trace = budgeted(BudgetChoice(2, "best", 0, **weighed), BudgetChoice(0, "plain", 0, **weighed))
    show(page, trace, "budget", 1)
    answer = page.locator(".tr-budget-answer")
    assert (
        answer.inner_text()
        == "2 nodes in step 1: this size leaves the most tokens after paying for its time at the"
        " run's own speed, 150 tokens per second."
    )
    assert lines(page, "Sizes compared") == [
        ["0", "10.00", "1.00", "0.00", "-0.50", ""],
        ["2", "11.00", "1.60", "0.20", "0.15", "◆ chosen"],
        ["4", "13.00", "1.70", "0.30", "0.05", ""],
    ]
    assert page.locator(".tr-budget-chart .tr-budget-value").all_text_contents() == [
        "11.0",
        "1.60",
        "0.15",
    ]
    feed(page, viz.view_record(2))
    assert answer.inner_text().startswith("No draft in step 2: no size was worth its time")


def test_a_fixed_tree_was_not_weighed_and_the_panel_says_what_auto_would(page):
    show(page, TELLING, "budget", 1)
    text = page.locator("[data-panel=budget]").inner_text()
    assert "This run's tree is fixed: hand, 3 nodes in this step. No sizes were compared." in text
    assert "With the tree auto, the step time is measured" in text
    assert lines(page, "cut short") == [
        ["0", "not measured", "0.80", "", ""],
        ["2", "not measured", "1.40", "", ""],
        ["3", "16.00", "1.60", "", "this tree"],
    ]
    show(page, run([A], step([], [B], root=A), drafter="none"), "budget", 1)
    assert "it is plain decoding" in page.locator("[data-panel=budget]").inner_text()


# — sources —


def sourced():
    """The telling run, as if its fourth step had drafted from a row of two tokens, the text, and a
    row of one.
    """
    sources = (Source("root"), Source("row", 2), Source("row", 1), Source("lookup", 3, 2))
    fourth = msgspec.structs.replace(
        TELLING.steps[3], sources=sources, expected=(1.0, 0.75, 0.125, 0.5)
    )
    return msgspec.structs.replace(TELLING, steps=(*TELLING.steps[:3], fourth, TELLING.steps[4]))


def test_each_node_tells_where_it_came_from_and_what_was_expected(page):
    show(page, sourced(), "sources", 4)
    assert lines(page, "Step 4") == [
        ["² row of two tokens", "1", "0.8", "1", "100 %"],
        ["¹ row of one token", "1", "0.1", "0", "0 %"],
        ["≡ copied from the text", "1", "0.5", "1", "100 %"],
    ]
    # The other steps drafted from rows of one token: 3, none (fillers), 3, and 3 nodes.
    assert lines(page, "All 5 steps")[0] == ["¹ row of one token", "10", "0.1", "2", "20 %"]
    assert lines(page, "Nodes of this step") == [
        ["“a”", "² row of two tokens", "0.75", "accepted"],
        ["“c”", "≡ copied from the text", "0.50", "accepted"],
        ["“b”", "¹ row of one token", "0.13", "rejected"],
    ]
    assert page.locator("[data-node] .tr-source-mark").all_text_contents() == ["", "²", "¹", "≡"]
    corners = page.locator("[data-node='3'] rect").evaluate("e => getComputedStyle(e).rx")
    assert corners == "0px", "what is copied has square corners"
    button(page, "“a”").click()
    settle(page)
    inspector = page.get_by_role("region", name="Inspector")
    assert "From the row of “a” “c”. Expected chance of acceptance: 0.75." in inspector.inner_text()
    page.locator("[data-node='3']").hover()
    settle(page)
    assert page.locator(".tr-text .tr-copied").all_inner_texts() == ["b"], (
        "position 2: the first token after the prompt"
    )
    page.locator("[data-node='3']").click()
    settle(page)
    assert (
        "Copied from position 2 of the text. Expected chance of acceptance: 0.50."
        in inspector.inner_text()
    )


def test_a_matrix_alone_is_the_source_of_all(page):
    show(page, TELLING, "sources", 1)
    assert (
        "takes all its drafts from one matrix" in page.locator("[data-panel=sources]").inner_text()
    )
    assert lines(page, "All 5 steps") == [["¹ row of one token", "12", "–", "4", "33 %"]]
    assert "".join(page.locator("[data-node] .tr-source-mark").all_text_contents()) == ""


def test_reliability_is_drawn_where_something_was_expected(page):
    found = json.loads(viz.analysis_record(sourced()))["figures"]
    assert [f["name"] for f in found] == [*(make.__name__ for make in FIGURES), "reliability"]
    show(page, sourced(), "metrics", 4)
    plot = page.locator("[data-figure=reliability] .js-plotly-plot")
    plot.wait_for()
    assert "below it, worse" in page.locator("[data-figure=reliability]").inner_text()


# — metrics —


def drawn(page):
    """Wait until every chart has been drawn: one a frame, so the last one comes last."""
    page.wait_for_function(
        "count => document.querySelectorAll('.js-plotly-plot .main-svg').length && "
        "document.querySelectorAll('.js-plotly-plot').length === count",
        arg=len(FIGURES),
    )
    settle(page)


def test_metrics_are_drawn_lead_to_steps_and_follow_the_run(page):
    first = msgspec.structs.replace(TELLING, steps=TELLING.steps[:2], stop_reason=None)
    feed(page, viz.start_record("live", TELLING.info, TELLING.pieces))
    feed(page, *(viz.step_record("live", s, {}, running=False) for s in first.steps))
    assert page.evaluate("window.Plotly") is None, "brought in when it is first needed"
    feed(page, viz.analysis_record(first, "live"), viz.view_record(2, panel="metrics"))
    drawn(page)
    heights = "plot => plot._fullData.map(trace => [trace.name, ...trace.y])"
    chart = page.locator("[data-figure=accepted_per_step]")
    assert chart.locator(".tr-chart-plot").evaluate(heights) == [
        ["accepted", 1, 0],
        ["bonus", 1, 1],
    ]
    feed(page, *(viz.step_record("live", s, {}, running=False) for s in TELLING.steps[2:]))
    feed(page, viz.analysis_record(TELLING, "live"))
    page.wait_for_function(
        "document.querySelector('[data-figure=accepted_per_step] .tr-chart-plot').data[0].x.length"
        " === 5"
    )
    assert chart.locator(".tr-chart-plot").evaluate(heights) == [
        ["accepted", 1, 0, 0, 2, 1],
        ["bonus", 1, 1, 1, 1, 0],
    ]
    assert where(page)[0] == 5
    chart.locator(".barlayer .point").nth(3).click(force=True)
    settle(page)
    assert where(page)[0] == 4
    page.locator("[data-figure=accepted_histogram] .barlayer .point").nth(1).click(force=True)
    settle(page)
    assert marked(page) == ("1 accepted: 2 steps", 2)


def test_every_chart_has_its_numbers_as_a_table(page):
    show(page, TELLING, "metrics", 1)
    drawn(page)
    found = {}
    for name in ("accepted_per_step", "acceptance_by_depth_and_rank", "emitted_by_class"):
        box = page.locator(f"[data-figure={name}]")
        box.get_by_text("as a table").click()
        box.locator("table").wait_for()
        rows = "all => all.map(row => [...row.cells].map(c => c.innerText.trim()))"
        found[name] = box.locator("tr").evaluate_all(rows)
    assert found["accepted_per_step"][:3] == [
        ["step", "accepted", "bonus"],
        ["1", "1", "1"],
        ["2", "0", "1"],
    ]
    assert found["acceptance_by_depth_and_rank"] == [
        ["rank", "depth 1", "depth 2"], ["0", "0.5 (2/4)", "0.5 (1/2)"], ["1", "0.25 (1/4)", ""],
    ]  # fmt: skip
    assert found["emitted_by_class"] == [["", "drafted", "bonus"], ["continuation", "4", "4"]]
    page.locator("[data-figure=accepted_per_step]").get_by_role(
        "button", name="3", exact=True
    ).click()
    settle(page)
    assert where(page)[0] == 3


def test_charts_take_the_colours_of_the_scheme(open_page):
    page = open_page(color_scheme="light")
    show(page, TELLING, "metrics", 1)
    drawn(page)
    colour = (
        "document.querySelector('[data-figure=accepted_per_step]"
        " .tr-chart-plot')._fullData[0].marker.color"
    )
    assert page.evaluate(colour) == "rgb(11, 122, 117)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{colour} === 'rgb(63, 208, 196)'")


@pytest.mark.parametrize("panel", PANELS)
def test_panels_fit_a_phone(open_page, panel):
    page = open_page(390, 844)
    show(page, viz_runs.toy_run(12), panel, 12)
    if panel == "metrics":
        drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_tokens_stay_text_in_every_panel(page):
    hostile = msgspec.structs.replace(TELLING, pieces=dict(enumerate(viz_runs.HOSTILE)))
    for panel in PANELS:
        show(page, hostile, panel, 3)
        if panel == "metrics":
            drawn(page)
    assert page.evaluate("window.pwned") is None
    assert page.locator("#tr-explorer :is(script, img, iframe, b)").count() == 0
