"""axe-core finds no serious fault, in light and dark: the page with a run, each panel, dialogs, an
exported page.
"""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

import viz
from tests.support import viz_runs
from tests.support.explorer_tab import feed, press
from tests.support.hand_runs import telling_run
from tr_core.trees.templates import chain
from viz.assets import PANELS

SCHEMES = ("light", "dark")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def faults(page, within=None):
    """Serious and critical violations: rule, and the elements that break it."""
    found = Axe().run(page, context=within, options=RULES).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    return [
        (v["id"], n["target"], n["failureSummary"].split("\n")[1:])
        for v in serious
        for n in v["nodes"]
    ]


def drawn(page, panel):
    if panel == "metrics":
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 8")
    feed(page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_explorer_with_each_panel(open_page, scheme):
    page = open_page(1280, 900, color_scheme=scheme)
    trace = viz_runs.toy_run(9, stop_reason="eos", reference_identical=True)
    feed(page, viz.run_record(trace), viz.analysis_record(trace))
    for panel in (None, *PANELS):
        feed(page, viz.view_record(9, "recycle", panel=panel))
        drawn(page, panel)
        # The page around is the same with each panel: it is looked at once.
        assert faults(page, f"[data-panel={panel}]" if panel else None) == [], panel


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_phase_a_selection_marks_and_an_error(open_page, scheme):
    page = open_page(1280, 900, color_scheme=scheme)
    feed(page, viz.run_record(telling_run()), viz.analysis_record(telling_run()))
    for phase in viz.PHASES:
        feed(page, viz.view_record(4, phase, panel="diagnosis", node=1))
        page.locator("[data-panel=diagnosis] button[aria-pressed]").first.click()
        assert faults(page) == []
    feed(page, viz.error_record("There is no such model."))
    assert faults(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_runs_side_by_side_and_rows_that_lost_a_token(open_page, scheme):
    page = open_page(1280, 900, color_scheme=scheme)
    runs = [
        viz_runs.toy_run(8, reference_identical=True),
        viz_runs.toy_run(12, template=chain(3)),
        telling_run(),
    ]
    feed(page, viz.compare_record([(trace, f"r{n}") for n, trace in enumerate(runs[:2])]))
    feed(page, viz.progress_record("tree small-16", 3, 64))
    page.get_by_label("Find a token").fill("the")
    feed(page)
    assert faults(page) == []
    feed(page, viz.run_record(runs[2]), viz.view_record(1, panel="compare"))
    assert faults(page) == [], "a run that does not lie there, and cannot"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_before_the_first_run_and_the_help(open_page, scheme):
    page = open_page(1280, 900, color_scheme=scheme)
    feed(page, viz.offer_record([("story", "Story", "Story: a lost kite")]))
    assert faults(page) == []
    feed(page, viz.run_record(telling_run()))
    press(page, "?")
    assert faults(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_phone(open_page, scheme):
    page = open_page(390, 844, color_scheme=scheme)
    trace = viz_runs.toy_run(9)
    feed(
        page,
        viz.run_record(trace),
        viz.analysis_record(trace),
        viz.view_record(9, panel="diagnosis"),
    )
    assert faults(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_exported_page(browser, tmp_path, scheme):
    path = tmp_path / "run.html"
    path.write_text(viz.to_html(telling_run()), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("#tr-explorer[data-steps='5']")
    page.get_by_role("tab", name="Diagnosis").click()
    page.wait_for_selector("[data-panel=diagnosis]:not([hidden])")
    assert faults(page) == []
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_itself(tabs, app_url, scheme):
    """Of Gradio's own controls only what is ours to set: names, and the colours of the theme."""
    page = tabs(color_scheme=scheme)
    page.goto(f"{app_url}?__theme={scheme}")
    page.get_by_role("button", name="Story", exact=True).click()
    page.wait_for_selector("#tr-explorer:not([data-steps='0'])")
    page.get_by_role("tab", name="Diagnosis").click()
    page.wait_for_selector("[data-panel=diagnosis]:not([hidden])")
    assert faults(page) == []
