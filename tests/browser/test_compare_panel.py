"""The compare panel by itself in a browser: any runs laid together say what Python says, and lead
into the explorer.
"""

from __future__ import annotations

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.explorer_tab import button, feed, settle, where
from tests.support.hand_lanes import OTHER, X, Y, Z, with_info
from tr_core.analysis.alignment import align
from tr_core.trees.templates import chain, grown

PAPER = viz_runs.toy_run(16, reference_identical=True)
SMALL = viz_runs.toy_run(24, template=grown(16, 8), stop_reason="eos", cut=1)
CHAIN = viz_runs.toy_run(20, template=chain(3))
PLAIN = viz_runs.toy_run(30, template=chain(0))


def lay(page, *traces, **options):
    feed(
        page,
        viz.compare_record([(trace, f"r{place}") for place, trace in enumerate(traces)], **options),
    )


def captions(page, *wanted):
    """Wait for the small trees: they come when the position rests."""
    page.wait_for_function(
        """wanted => wanted.join() ===
        [...document.querySelectorAll(".tr-mini figcaption")].map((e) => e.innerText).join()""",
        arg=list(wanted),
    )


ALIGN = """async (records) => {
  const { align } = await import("./tr/state/align.js");
  const { addStep, endRun, openRun } = await import("./tr/state/records.js");
  const runs = records.map((text) => {
    const record = JSON.parse(text);
    const run = openRun(record.run, record.start);
    record.steps.forEach((step) => addStep(run, step));
    endRun(run, record.end);
    return run;
  });
  return align(runs);
}"""


@pytest.mark.parametrize(
    "traces",
    [(X, Y), (X, Y, Z), (X, OTHER, Y, OTHER),
     (with_info(X), with_info(OTHER, settings={"temperature": 0.5}, model="m")),
     (PAPER, SMALL, CHAIN, PLAIN), (PLAIN, PAPER), (PAPER, PAPER)],
    ids=["two", "three", "other text", "other settings", "four", "plain first", "the same"],
)  # fmt: skip
def test_the_browser_aligns_as_python_does(page, traces):
    found = page.evaluate(
        ALIGN, [viz.run_record(trace, str(place)) for place, trace in enumerate(traces)]
    )
    wanted = msgspec.json.decode(msgspec.json.encode(align(traces)))
    for key in ("verdict", "shared", "alike", "jumps", "leads"):
        assert found[key] == wanted[key], key
    assert found["mayDiffer"] == wanted["may_differ"]
    for ours, theirs in zip(found["lanes"], wanted["lanes"], strict=True):
        assert [ours[k] for k in ("name", "steps", "emitter", "passes")] == [
            theirs[k] for k in ("name", "steps", "emitter", "passes")
        ]
    for ours, theirs in zip(found["summaries"], wanted["summaries"], strict=True):
        for mine in ("tokens", "passes", "nodes", "drafted", "accepted", "lossless"):
            assert ours[mine] == theirs[mine], mine
        assert ours["mat"] == theirs["mean_accepted_tokens"]
        # The browser gets milliseconds with two digits.
        assert ours["perStep"] == pytest.approx(theirs["ms_per_step"], abs=0.02)
    if wanted["difference"] is None:
        assert found["difference"] is None
    else:
        assert found["difference"]["position"] == wanted["difference"]["position"]
        for ours, theirs in zip(
            found["difference"]["runs"], wanted["difference"]["runs"], strict=True
        ):
            assert ours == {
                k: v if not isinstance(v, float) else pytest.approx(v, abs=2e-4)
                for k, v in theirs.items()
            }


def test_runs_are_added_by_hand_and_taken_away(page):
    feed(page, viz.run_record(PAPER, "one"))
    page.get_by_role("tab", name="Compare").click()
    settle(page)
    panel = page.locator("[data-panel=compare]")
    assert "Compare two to four runs of one prompt" in panel.inner_text()
    button(page, "Add this run").click()
    settle(page)
    assert button(page, "This run is in the comparison").is_disabled()
    assert panel.locator("tbody tr").count() == 1
    assert panel.locator(".tr-compare-picture").is_hidden()
    feed(page, viz.run_record(SMALL, "two"))
    button(page, "Add this run").click()
    settle(page)
    # What tells the two apart names them; the longer text goes on where the shorter ended.
    names = panel.locator("tbody tr th button").all_inner_texts()
    assert len(set(names)) == 2
    assert "The texts are equal up to the end of the shortest" in panel.inner_text()
    button(page, f"Remove {names[0]}").click()
    settle(page)
    assert panel.locator("tbody tr").count() == 1
    assert panel.locator("tbody tr").get_attribute("data-run") == "two"


def test_a_bracket_leads_to_its_run_and_step(page):
    lay(page, X, Y, Z)
    assert where(page)[1] == len(X.steps)
    panel = page.locator("[data-panel=compare]")
    assert panel.is_visible()
    assert panel.locator("[data-bracket]").count() == 3 + 6 + 3
    assert "All 3 texts are equal: 6 tokens." in panel.inner_text()
    # Z's third step wrote positions 4 – 6.
    lane = panel.locator("[data-lane='2'] [data-bracket='3']")
    box, picture = lane.bounding_box(), panel.locator(".tr-lanes-picture").bounding_box()
    panel.locator(".tr-lanes-picture").click(
        position={
            "x": box["x"] - picture["x"] + box["width"] / 2,
            "y": box["y"] - picture["y"] + 16,
        }
    )
    settle(page)
    assert where(page) == (3, 3, "accept")
    assert panel.locator("tr.tr-compare-now").get_attribute("data-run") == "r2"
    assert {"type": "kept", "run": "r2", "shown": True} in page.evaluate("window.requests")
    # The trees of the same position: X's second step and Y's fifth wrote token 5.
    captions(
        page,
        "A\nstep 3: 1 of 1 accepted",
        "B\nstep 5: nothing drafted",
        "C\nstep 3: 2 of 2 accepted",
    )
    # By keyboard: the run's name shows it at the same position.
    panel.get_by_role("button", name="none", exact=True).press("Enter")
    settle(page)
    assert where(page) == (5, 6, "accept")
    # Stepping above moves the mark along.
    page.keyboard.press("ArrowLeft")
    settle(page)
    captions(
        page,
        "A\nstep 2: 0 of 1 accepted",
        "B\nstep 4: nothing drafted",
        "C\nstep 3: 2 of 2 accepted",
    )


def test_a_jump_can_be_visited(page):
    lay(page, Y, X)
    jumps = page.locator("[data-jump]")
    assert jumps.all_inner_texts() == ["▲ B 1 – 3: 1 pass, A 3", "▲ B 5 – 6: 1 pass, A 2"]
    assert page.locator("[data-lead]").all_text_contents() == ["▲ 2", "▲ 1"]
    jumps.nth(1).click()
    settle(page)
    assert where(page) == (3, 3, "accept")


def test_small_trees_are_no_nodes_of_the_tree(page):
    lay(page, PAPER, SMALL)
    page.wait_for_function(
        "document.querySelectorAll('.tr-mini .tr-node').length === 81 + 1 + 17 + 1"
    )
    assert page.locator("[data-node]").count() == 81
    assert page.locator("[data-bonus]").count() == 1


def test_the_first_difference_is_told_with_margins(page):
    lay(page, with_info(X), with_info(OTHER, settings={"temperature": 0.5}))
    verdict = page.locator(".tr-compare-verdict")
    assert (
        verdict.inner_text()
        == "The texts are equal for 2 tokens, then they differ: A (greedy) wrote “d” (probability"
        " 0.750, the two best 0.625 apart); B (temperature 0.5, seed 0) wrote “e” (probability"
        " 0.750, the two best 0.625 apart). This is not an error: with different sampling the text"
        " may differ."
    )
    assert page.locator(".tr-lanes .tr-lane-difference").count() == 1
    button(page, "first difference: token 3").click()
    settle(page)
    assert where(page)[0] == 1, "the first step of the first run wrote it"
    captions(page, "A\nstep 1: 2 of 2 accepted", "B\nstep 2: 1 of 2 accepted")
    assert page.locator(".tr-compare-trees > p").inner_text() == "The trees that wrote token 3"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            viz_runs.toy_run(5, prompt_length=21),
            "This run's prompt differs from that of the compared runs",
        ),
        (
            with_info(PAPER, tokenizer="f" * 16, model="m2"),
            "m2 and toy-bigram have different tokenizers",
        ),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(page, other, words):
    lay(page, PAPER, SMALL)
    feed(page, viz.run_record(other, "other"))
    button(page, "Add this run").click()
    page.get_by_role("alert").get_by_text(words).wait_for()
    assert page.locator("[data-panel=compare] tbody tr").count() == 2


def test_four_are_enough_and_a_new_comparison_takes_their_place(page):
    lay(page, PAPER, SMALL, CHAIN, PLAIN)
    assert page.locator("[data-panel=compare] tbody tr").count() == 4
    feed(page, viz.run_record(viz_runs.toy_run(3), "fifth"))
    assert button(page, "Add this run").is_disabled()
    feed(page, viz.compare_record([(Y, "y")], known=["fifth"], replace=True))
    # Y has another prompt than the run that was kept: it is refused, with a sentence.
    assert page.get_by_role("alert").is_visible()
    assert page.locator("[data-panel=compare] tbody tr").count() == 1


def test_a_run_goes_on_while_another_is_looked_at(page):
    first = viz_runs.toy_run(6)
    feed(page, viz.start_record("live", first.info, first.pieces, first.partial_bytes))
    feed(page, *(viz.step_record("live", step, {}) for step in first.steps[:3]))
    page.get_by_role("tab", name="Compare").click()
    lay(page, CHAIN)
    assert where(page)[1] == 3
    page.locator(".tr-compare-name").first.click()
    settle(page)
    assert where(page)[1] == len(CHAIN.steps)
    # The run that left the screen lies with the others now, and grows.
    feed(page, *(viz.step_record("live", step, {}) for step in first.steps[3:]))
    assert where(page)[1] == len(CHAIN.steps)
    rows = page.locator("[data-panel=compare] tbody tr")
    assert rows.count() == 2
    assert rows.nth(1).locator("td").nth(1).inner_text() == "6"
    rows.nth(1).locator("th button").click()
    settle(page)
    assert where(page)[1] == 6


def test_progress_is_told_and_ends(page):
    lay(page, PAPER)
    feed(page, viz.progress_record("tree small-16", 12, 64))
    assert page.get_by_text("tree small-16: 12 of at most 64 tokens").is_visible()
    feed(page, viz.progress_record(None))
    assert page.get_by_text("of at most 64 tokens").is_hidden()


def test_hostile_text_is_text(page):
    pieces = {t: viz_runs.HOSTILE[t % 4] for t in PAPER.pieces}
    bad = [
        msgspec.structs.replace(
            with_info(t, model="<img src=x onerror=hit=1>" * n), pieces=pieces, partial_bytes={}
        )
        for n, t in enumerate((PAPER, SMALL), 1)
    ]
    lay(page, *bad)
    page.locator("[data-jump]").first.click()
    settle(page)
    assert page.evaluate("window.pwned ?? window.hit") is None
    assert page.locator("#tr-explorer :is(script, img, iframe)").count() == 0


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_sticks_out(open_page, width):
    page = open_page(width=width, height=844)
    lay(page, PAPER, SMALL, CHAIN, PLAIN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
