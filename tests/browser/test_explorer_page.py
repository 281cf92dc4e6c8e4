"""The explorer by itself in a real browser: fed with records, looked at through its contract
attributes.
"""

from __future__ import annotations

import json
import re

import msgspec
import pytest

import viz
from tests.support import hand_runs, viz_runs
from tests.support.explorer_tab import button, feed, press, settle, where
from tests.support.hand_runs import A, B, C, D
from tr_core.trees.templates import chain, grown


def contents(page):
    """The contract attributes of everything in the explorer."""
    return page.evaluate("""() => { const root = document.querySelector("#tr-explorer");
        const all = (selector, read, within = root) =>
          [...within.querySelectorAll(selector)].map(read);
        const cells = row => all("[data-cell]", c => [+c.dataset.cell, c.dataset.change], row);
        return {
          nodes: all("[data-node]", e => [+e.dataset.node, e.dataset.status]),
          statuses: all("[data-status]", e => e.dataset.status).length,
          bonus: all("[data-bonus]", e => e.textContent),
          rows: all("[data-row]", r => [+r.dataset.row, cells(r)]),
          cells: all("[data-cell]", e => e).length,
          changes: all("[data-change]", e => e).length,
        } }""")


def expected(step):
    rows = {row.token: row for row in step.rows}
    return {
        "nodes": dict(enumerate(step.statuses)),
        "rows": {t: list(enumerate(row.changes)) for t, row in rows.items()},
    }


def check_contract(page, step):
    found, wanted = contents(page), expected(step)
    assert len(found["nodes"]) == len(wanted["nodes"]) == found["statuses"]
    assert dict(found["nodes"]) == wanted["nodes"]
    assert len(found["bonus"]) == (step.bonus is not None)
    assert len(found["rows"]) == len(wanted["rows"])
    assert {t: [tuple(c) for c in cells] for t, cells in found["rows"]} == wanted["rows"]
    assert found["cells"] == found["changes"] == sum(len(row.after) for row in step.rows)


def test_before_the_first_run_one_sentence_tells_what_to_do(page):
    assert where(page) == (0, 0, "accept")
    assert page.get_by_text("Type a prompt and press Step").is_visible()
    assert contents(page)["nodes"] == []
    press(page, "ArrowRight", "Home", " ")
    assert where(page)[:2] == (0, 0)


@pytest.mark.parametrize("phase", viz.PHASES)
@pytest.mark.parametrize(
    "trace",
    [
        viz_runs.tiny_run(),
        viz_runs.toy_run(14),
        viz_runs.toy_run(14, template=chain(4), stop_reason="eos", cut=1),
        viz_runs.toy_run(6, template=chain(0)),
        viz_runs.toy_run(6, template=grown(30, 4), k=4),
    ],
    ids=["tiny", "paper", "chain cut by a stop", "root alone", "k = 4"],
)
def test_contract_attributes_at_every_step_in_every_phase(page, trace, phase):
    feed(page, viz.run_record(trace))
    assert where(page) == (len(trace.steps), len(trace.steps), "accept")
    for number, step in enumerate(trace.steps, 1):
        feed(page, viz.view_record(number, phase))
        assert where(page) == (number, len(trace.steps), phase)
        check_contract(page, step)
    assert not re.search(r"undefined|NaN|=>|\[object", page.locator("#tr-explorer").inner_text())


def test_trees_of_other_shapes_replace_each_other(page):
    large = viz_runs.toy_run(3, template=grown(512))
    for trace in (viz_runs.toy_run(3), large, viz_runs.tiny_run(), viz_runs.toy_run(4)):
        feed(page, viz.run_record(trace))
        check_contract(page, trace.steps[-1])


def test_keys_move_between_steps_and_phases_unless_one_is_typing(page):
    feed(page, viz.run_record(viz_runs.toy_run(9)))
    for keys, there in [
        (["Home"], (1, "accept")),
        (["ArrowLeft"], (1, "accept")),
        (["ArrowRight", "ArrowRight"], (3, "accept")),
        (["ArrowDown"], (3, "recycle")),
        (["ArrowDown"], (3, "recycle")),
        (["ArrowRight"], (4, "recycle")),
        (["ArrowUp", "ArrowUp", "ArrowUp"], (4, "draft")),
        (["ArrowUp"], (4, "draft")),
        (["ArrowLeft"], (3, "draft")),
        (["End"], (9, "draft")),
        (["ArrowRight"], (9, "draft")),
    ]:
        press(page, *keys)
        assert (where(page)[0], where(page)[2]) == there, keys
    page.get_by_label("Elsewhere").focus()
    press(page, "Home", "ArrowUp", "?", " ")
    assert where(page) == (9, 9, "draft")
    page.get_by_label("Find a token").focus()
    press(page, "ArrowLeft", "?")
    assert where(page)[0] == 9


def test_buttons_slider_and_phases(page):
    feed(page, viz.run_record(viz_runs.toy_run(9)))
    for name, step in [("First", 1), ("Forward", 2), ("Last", 9), ("Back", 8)]:
        button(page, name).click()
        settle(page)
        assert where(page)[0] == step
    slider = page.get_by_role("slider", name="Step")
    slider.fill("4")
    settle(page)
    assert where(page)[0] == 4
    slider.press("ArrowRight")
    settle(page)
    assert where(page)[0] == 5
    for phase in viz.PHASES:
        button(page, phase).click()
        settle(page)
        assert where(page) == (5, 9, phase)
        assert button(page, phase).get_attribute("aria-pressed") == "true"


def test_the_chart_is_a_scrubber(page):
    feed(page, viz.run_record(viz_runs.toy_run(40)))
    box = page.locator(".tr-chart").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    page.mouse.down()
    settle(page)
    assert where(page)[0] == 40
    page.mouse.move(box["x"] + box["width"] * 0.51, box["y"] + 20, steps=4)
    settle(page)
    assert where(page)[0] == 21
    page.mouse.move(box["x"] - 50, box["y"] + 20)
    page.mouse.up()
    settle(page)
    assert where(page)[0] == 1


def test_play_walks_through_phases_and_steps_and_ends(page):
    feed(page, viz.run_record(viz_runs.toy_run(3)), viz.view_record(2, "verify"))
    page.get_by_label("Speed").select_option("8")
    seen = page.evaluate(
        """() => new Promise(done => {
           const root = document.querySelector("#tr-explorer"), seen = [];
        new MutationObserver(() => { const now = root.dataset.step + root.dataset.phase;
          if (seen.at(-1) !== now) seen.push(now); if (now === "3recycle") done(seen) })
          .observe(root, {attributes: true, attributeFilter: ["data-step", "data-phase"]});
        root.querySelector("[aria-label=Play]").click(); })"""
    )
    assert seen[-6:] == ["2accept", "2recycle", "3draft", "3verify", "3accept", "3recycle"]
    button(page, "Play").wait_for()
    page.get_by_label("Speed").select_option("0.5")  # slow enough to be looked at on a busy machine
    button(page, "Play").click()
    settle(page)
    assert where(page) == (1, 3, "draft"), "at the end it starts again"
    button(page, "Pause").click()
    page.locator("body").press(" ")
    button(page, "Pause").wait_for()
    page.locator("body").press(" ")
    button(page, "Play").wait_for()


def test_a_running_run_is_followed_until_one_looks_back(page):
    trace = viz_runs.toy_run(6)
    feed(page, viz.start_record("live", trace.info, trace.pieces, trace.partial_bytes))
    assert where(page) == (0, 0, "accept")
    assert "The prompt is read." in page.locator(".tr-only-heard[aria-live]").text_content()
    records = [viz.step_record("live", step, {}, running=step.index < 6) for step in trace.steps]
    feed(page, records[0])
    assert where(page) == (1, 1, "accept")
    check_contract(page, trace.steps[0])
    feed(page, records[1], records[1], records[0])
    assert where(page) == (2, 2, "accept"), "a record that comes twice changes nothing"
    press(page, "ArrowLeft")
    feed(page, records[2], viz.batch(records[3:5]))
    assert where(page) == (1, 5, "accept")
    assert button(page, "3 new steps").is_visible()
    check_contract(page, trace.steps[0])
    button(page, "Last").click()
    settle(page)
    assert where(page) == (5, 5, "accept")
    assert not page.get_by_text("new steps").is_visible()
    press(page, "ArrowUp", "ArrowUp")
    feed(page, records[5])
    assert where(page) == (6, 6, "accept"), "a fresh step is shown with its verdict"
    assert page.get_by_text("waiting for the next step").is_visible()
    feed(
        page,
        viz.step_record("another", trace.steps[0], {}),
        viz.end_record("another", stop_reason="eos", text=""),
    )
    assert where(page) == (6, 6, "accept"), "records of another run are ignored"
    feed(page, viz.end_record("live", stop_reason=None, text=trace.text))
    assert page.get_by_role("status").inner_text() == "stopped"


@pytest.mark.parametrize(
    ("identical", "words"),
    [(True, "lossless ✓"), (False, "differs from plain decoding"), (None, "not checked")],
)
def test_the_header_tells_figures_and_the_check(page, identical, words):
    trace = viz_runs.toy_run(8, stop_reason="max_new_tokens", reference_identical=identical)
    feed(page, viz.run_record(trace))
    header = page.locator("#tr-explorer header").inner_text()
    tokens = len(trace.output_ids)
    assert f"{tokens / 8:.2f}" in header
    assert f"{tokens} tokens in 8 passes" in header
    assert [
        w for w in ("lossless ✓", "differs from plain decoding", "not checked") if w in header
    ] == [words]
    assert "finished" in header
    assert page.locator(".tr-text").get_by_text("the limit of new tokens was reached").is_visible()


def test_the_check_is_not_claimed_while_running(page):
    trace = viz_runs.toy_run(2)
    feed(
        page,
        viz.start_record("r", trace.info, trace.pieces),
        viz.step_record("r", trace.steps[0], {}),
    )
    header = page.locator("#tr-explorer header").inner_text()
    assert "running" in header
    assert not re.search("lossless|checked|differs", header)


def test_errors_are_told_above_everything_else_and_can_be_dismissed(page):
    trace = viz_runs.toy_run(4)
    feed(page, viz.run_record(trace), viz.error_record("No such model: <b>foo</b>."))
    alert = page.get_by_role("alert")
    assert alert.inner_text() == "No such model: <b>foo</b>."
    check_contract(page, trace.steps[-1])
    button(page, "Dismiss").click()
    settle(page)
    assert not alert.is_visible()
    feed(page, viz.error_record("No such model: <b>foo</b>."))
    assert alert.is_visible(), "the same error can come again"
    feed(page, viz.reset_record())
    assert not alert.is_visible()
    assert page.get_by_text("Type a prompt and press Step").is_visible()


def test_inspector_says_why(page):
    feed(page, viz.run_record(viz_runs.tiny_run()))
    inspector = page.get_by_role("region", name="Inspector")
    said = {
        0: "The last committed token",
        1: "Accepted: it agrees with the model's choice after “·the”",
        2: "Rejected: after “·the” the model chose “·fox” instead",
        3: "Rejected: after “·fox” the model chose “·saw” instead",
        4: "A right guess in the wrong place: it agrees with the choice after “<b>”",
        5: "never written",
    }
    for node, words in said.items():
        page.locator(f"[data-node='{node}']").click()
        settle(page)
        assert words in inspector.inner_text()
    page.locator("[data-bonus]").click()
    settle(page)
    assert "Not drafted: the model's own choice after “·fox”" in inspector.inner_text()
    page.locator("[data-row='2'] [data-cell='0']").click()
    settle(page)
    text = inspector.inner_text()
    assert re.search(r"id 2 · depth 1 · rank 0 below “·the” · position 2", text)
    assert re.search(r"·saw\s+0\.50\s+● choice", text)
    assert re.search(r"·ran\s+0\.25\s+drafted 0", text)
    button(page, "draft").click()
    settle(page)
    assert "choice" not in inspector.inner_text(), "the model has not spoken yet"


def test_cells_show_what_was_before_and_after(page):
    feed(page, viz.run_record(viz_runs.tiny_run()))
    row = page.locator("[data-row='2']")
    cells = row.locator("[data-cell]")
    for phase in ("draft", "verify", "accept"):
        button(page, phase).click()
        settle(page)
        assert cells.all_inner_texts() == ["·ran", "·the"]
    button(page, "recycle").click()
    settle(page)
    assert cells.all_inner_texts() == ["·saw", "·ran"]
    assert row.inner_text().split()[-1] == "·the"
    assert (
        row.locator(".tr-evicted").evaluate("e => getComputedStyle(e).textDecorationLine")
        == "line-through"
    )


def test_search_finds_rows_and_candidates(page):
    feed(page, viz.run_record(viz_runs.tiny_run()))
    visible = "rows => rows.filter(r => r.offsetParent).map(r => r.dataset.row)"
    rows = page.locator("[data-row]")
    page.get_by_label("Find a token").fill("SAW")
    settle(page)
    assert rows.evaluate_all(visible) == ["2"]
    assert rows.count() == 4, "rows that do not fit are hidden, not gone"
    page.get_by_label("Find a token").fill("zzz")
    settle(page)
    assert rows.evaluate_all(visible) == []
    assert page.get_by_text("No row of this step has such a token.").is_visible()


def lost(page):
    return page.locator("[data-lost]").all_inner_texts()


def test_search_tells_which_rows_lost_a_token_over_the_whole_run(page):
    one, back = {A: ((B, C), (C, D))}, {A: ((C, D), (B, C))}
    trace = hand_runs.run(
        [A], *(hand_runs.step([], [A], rows, root=A) for rows in (one, back, one))
    )
    trace = msgspec.structs.replace(trace, pieces={A: "a", B: " the", C: " they", D: "The"})
    feed(page, viz.run_record(trace))
    search = page.get_by_label("Find a token")
    assert page.locator(".tr-lost").is_hidden()
    search.fill("the")
    settle(page)
    # “·the” went in steps 1 and 3, “The” in step 2; “·they” has the word in it, but is another.
    assert lost(page) == ["step 1: row of “a”", "step 2: row of “a”", "step 3: row of “a”"]
    assert "Rows that lost “the”, 3 times in this run:" in page.locator(".tr-matrix").inner_text()
    page.locator("[data-lost]").nth(1).click()
    settle(page)
    assert where(page) == (2, 3, "recycle")
    assert page.locator("[data-row='0'] .tr-evicted").inner_text() == "The"
    assert page.locator("[data-lost].tr-lost-now").all_inner_texts() == ["step 2: row of “a”"]
    search.fill("hey")
    settle(page)
    assert lost(page) == []
    assert "No row lost “hey” in this run." in page.locator(".tr-matrix").inner_text()
    # What has the letters in it counts where nothing is the word itself.
    search.fill("th")
    settle(page)
    assert len(lost(page)) == 3
    search.fill("")
    settle(page)
    assert page.locator(".tr-lost").is_hidden()


def test_the_number_of_a_step_can_be_typed(page):
    feed(page, viz.run_record(viz_runs.toy_run(20)))
    box = page.get_by_role("spinbutton", name="Go to step")
    assert box.input_value() == "20"
    for text, step_shown in [("12", 12), ("99", 20), ("-3", 1), ("", 1), ("7.4", 7)]:
        box.fill(text)
        box.press("Enter")
        settle(page)
        assert where(page)[0] == step_shown, text
        assert box.input_value() == str(step_shown)
    # Then the arrow keys step again.
    press(page, "ArrowRight")
    assert where(page)[0] == 8


def test_the_header_counts_the_passes_saved(page):
    trace = viz_runs.toy_run(20)
    feed(page, viz.run_record(trace))
    tokens = len(trace.output_ids)
    header = page.locator("#tr-explorer header")
    assert f"{tokens} tokens in 20 passes ({tokens - 20} saved)" in header.inner_text()
    feed(page, viz.run_record(viz_runs.toy_run(6, template=chain(0))))
    assert "6 tokens in 6 passes" in header.inner_text()
    assert "saved" not in header.inner_text()


def test_passes_that_settled_near_ties_are_counted(page):
    trace = viz_runs.toy_run(4, template=chain(0))
    first = msgspec.structs.replace(trace.steps[0], passes=3)
    feed(page, viz.run_record(msgspec.structs.replace(trace, steps=(first, *trace.steps[1:]))))
    assert "4 tokens in 6 passes" in page.locator("#tr-explorer header").inner_text()
    assert page.locator(".tr-number").inner_text() == "0.67"


def test_tree_rows_and_text_highlight_each_other(page):
    feed(page, viz.run_record(viz_runs.tiny_run()))
    hot = """() => ({
      nodes: [...document.querySelectorAll("[data-node].tr-hot")].map(e => e.dataset.node),
      rows: [...document.querySelectorAll("[data-row].tr-hot")].map(e => e.dataset.row),
      text: [...document.querySelectorAll(".tr-text .tr-hot")].map(e => e.textContent) })"""
    for target in (
        "[data-node='1']",
        "[data-row='2'] .tr-row-name",
        ".tr-output .tr-token >> nth=0",
    ):
        page.locator(target).hover()
        settle(page)
        assert page.evaluate(hot) == {"nodes": ["1"], "rows": ["2"], "text": [" fox"]}, target
    page.mouse.move(1, 1)
    settle(page)
    assert page.evaluate(hot) == {"nodes": [], "rows": [], "text": []}


def test_a_token_of_the_text_leads_to_its_step(page):
    trace = viz_runs.toy_run(20)
    feed(page, viz.run_record(trace))
    before = sum(len(s.emitted) for s in trace.steps[:6])
    page.locator(".tr-output .tr-token").nth(before).click()
    settle(page)
    assert where(page)[0] == 7
    assert page.locator(".tr-now").count() == 1


def test_the_text_panel_shows_the_text_and_joins_bytes(page):
    trace = viz_runs.toy_run(60)
    assert "<0xF0>" in trace.text, "the run must have written the parrot"
    feed(page, viz.run_record(trace))
    shown = page.locator(".tr-output").evaluate("e => e.textContent")
    assert "🦜" in shown
    assert "<0x" not in shown
    pieces = "".join(trace.pieces[t] for t in trace.output_ids).replace(
        "<0xF0><0x9F><0xA6><0x9C>", "🦜"
    )
    for mark in ("\u202e", "\u200b", "\x00", "\r"):
        pieces = pieces.replace(mark, f"‹U+{ord(mark):04X}›")
    pieces = re.sub("\xa0", "‹U+00A0›", pieces)
    assert shown == pieces, "what is copied is the text"


def test_a_long_prompt_is_folded(page):
    trace = viz_runs.toy_run(2, prompt_length=500)
    feed(page, viz.run_record(trace))
    assert page.locator(".tr-prompt .tr-token").count() == 64
    button(page, "show 436 earlier prompt tokens").click()
    assert page.locator(".tr-prompt .tr-token").count() == 500
    button(page, "fold the prompt").click()
    assert page.locator(".tr-prompt .tr-token").count() == 64


def test_hostile_text_stays_text(page):
    hostile = msgspec.structs.replace(viz_runs.tiny_run(), pieces=dict(enumerate(viz_runs.HOSTILE)))
    feed(page, viz.run_record(hostile), viz.error_record(viz_runs.HOSTILE[1]))
    for node in range(6):
        page.locator(f"[data-node='{node}']").click()
    feed(page, viz.run_record(viz_runs.toy_run(60)))
    press(page, "ArrowDown", "ArrowLeft", "j", "j")
    assert page.evaluate("window.pwned") is None
    assert page.locator("#tr-explorer :is(script, img, iframe, b)").count() == 0


def test_help_opens_and_closes(page):
    feed(page, viz.run_record(viz_runs.toy_run(3)))
    press(page, "?")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    press(page, "Home")
    assert where(page)[0] == 3, "keys rest while the dialog is open"
    press(page, "Escape")
    assert not dialog.is_visible()
    button(page, "Help").click()
    button(page, "Close").click()
    assert not dialog.is_visible()


def test_each_step_is_told_in_words(page):
    feed(page, viz.run_record(viz_runs.tiny_run()))
    live = page.locator("#tr-explorer .tr-only-heard[aria-live]")
    assert (
        live.text_content()
        == "Step 1: 1 of 4 drafted tokens accepted: “·fox”, then the model's own “·saw”."
    )


def test_the_page_is_told_where_the_reader_is(page):
    feed(page, viz.run_record(viz_runs.toy_run(3), "r"))
    press(page, "Home")
    assert page.evaluate("window.requests.at(-1)") == {
        "type": "view",
        "run": "r",
        "step": 1,
        "phase": "accept",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_of_a_step_fits_a_laptop_and_nothing_jumps(open_page, scheme):
    page = open_page(1160, 900, color_scheme=scheme)
    feed(page, viz.run_record(viz_runs.toy_run(30, stop_reason="eos")))
    boxes = """() => JSON.stringify(
      [...document.querySelectorAll(".tr-panel, .tr-tree-scroll, [data-node='80'] rect")]
      .map(e => e.getBoundingClientRect())
      .map(b => [b.x, b.y, b.width, b.height].map(Math.round)))"""
    places = set()
    for step in range(1, 31):
        for phase in viz.PHASES:
            feed(page, viz.view_record(step, phase))
            places.add(page.evaluate(boxes))
    assert len(places) == 1
    for panel in json.loads(places.pop())[:-1]:
        assert panel[1] + panel[3] <= 900
    assert page.evaluate("document.documentElement.scrollWidth") <= 1160


@pytest.mark.parametrize("width", [390, 1160, 1440])
def test_no_count_above_a_column_is_cut(open_page, width):
    """12 nodes cut to 1 would be another number; where there is no room, the word goes first."""
    page = open_page(width, 900)
    for template in (grown(80), chain(7), grown(512), chain(14)):
        feed(page, viz.run_record(viz_runs.toy_run(4, template=template)))
        heads = page.locator(".tr-columns .tr-column").evaluate_all(
            "all => all.map(e => [e.scrollWidth, e.clientWidth])"
        )
        assert len(heads) > 1
        assert all(needed <= room for needed, room in heads), heads


@pytest.mark.parametrize(
    "trace", [viz_runs.toy_run(12), viz_runs.toy_run(4, template=grown(512))], ids=["80", "512"]
)
def test_a_phone_needs_no_sideways_scrolling_of_the_page(open_page, trace):
    page = open_page(390, 844)
    feed(page, viz.run_record(trace))
    for phase in viz.PHASES:
        feed(page, viz.view_record(3, phase))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    feed(page, viz.error_record("x" * 300))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_zoom_and_fit(page):
    feed(page, viz.run_record(viz_runs.toy_run(3, template=grown(512))))
    width = "document.querySelector('.tr-shapes').getBoundingClientRect().width"
    start = page.evaluate(width)
    button(page, "Zoom in").click()
    assert page.evaluate(width) == pytest.approx(start * 1.25, rel=0.01)
    button(page, "fit").click()
    settle(page)
    box = page.locator(".tr-shapes").bounding_box()
    assert box["height"] < page.locator(".tr-tree-scroll").bounding_box()["height"]


def test_scrubbing_is_quick_and_leaves_nothing_behind(page):
    """The bound is generous, for busy machines; the figure itself is measured elsewhere."""
    feed(page, viz.run_record(viz_runs.toy_run(120)))
    scrub = """async count => {
      const slider = document.querySelector("#tr-explorer input[type=range]"), took = [];
      for (let i = 0; i < count; i++) { const start = performance.now();
        slider.value = String(1 + (i * 37) % 120);
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
        took.push(performance.now() - start); }
      return took.sort((a, b) => a - b)[count >> 1] }"""
    page.evaluate(scrub, 120)
    elements = page.evaluate("document.querySelectorAll('*').length")
    assert page.evaluate(scrub, 240) < 500
    assert page.evaluate("document.querySelectorAll('*').length") <= elements * 1.05
