"""Comparing on the real page: settings run one after another, files dropped together, and what can
be taken home.
"""

from __future__ import annotations

import csv
import json

from tests.support import viz_runs
from tests.support.app_page import SOON_MS, at, click
from tr_core.trees.templates import chain


def choose_variations(page, *labels):
    page.locator("#tr-controls .label-wrap", has_text="Compare").click()
    box = page.get_by_label("Compare with")
    for label in labels:
        box.fill(label)
        box.press("Enter")


def rows(page, count):
    page.wait_for_function(
        f"document.querySelectorAll('[data-panel=compare] tbody tr').length === {count}",
        timeout=2 * SOON_MS,
    )
    return page.locator("[data-panel=compare] tbody tr")


def test_a_prompt_is_run_with_other_settings_and_laid_side_by_side(tabs, tmp_path):
    page = tabs()
    page.get_by_label("New tokens", exact=True).fill("16")
    choose_variations(page, "plain decoding", "tree chain-4, k 2")
    page.locator("#tr-controls").get_by_role("button", name="Compare", exact=True).last.click()
    lines = rows(page, 3)
    panel = page.locator("[data-panel=compare]")
    assert panel.is_visible()
    panel.get_by_text("All 3 texts are equal: 16 tokens.").wait_for(timeout=SOON_MS)
    cells = [line.locator("td").all_inner_texts() for line in lines.all()]
    assert [c[0] for c in cells] == ["16"] * 3
    assert cells[1][1:3] == ["16", "1.00"], "plain decoding makes a pass a token"
    assert int(cells[0][1]) < 16
    assert [c[8] for c in cells] == ["yes ✓"] * 3

    # A run's name brings it up; what is saved then is that run.
    lines.nth(1).locator("th button").click()
    at(page, steps=16)
    page.get_by_role("button", name="Save and open").click()
    with page.expect_download(timeout=SOON_MS) as download:
        click(page, "Save this run")
    download.value.save_as(tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["info"]["drafter"] == "none"
    for name, first in (("Steps as CSV", "step,committed"), ("Nodes as CSV", "step,node,parent")):
        with page.expect_download(timeout=SOON_MS) as download:
            click(page, name)
        download.value.save_as(tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith(first)
        assert len((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()) == 17
    with page.expect_download(timeout=SOON_MS) as download:
        panel.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 3 * 16
    with page.expect_download(timeout=SOON_MS) as download:
        panel.get_by_role("button", name="Save as a web page").click()
    assert download.value.suggested_filename == "comparison.html"


def drop_several(page, files):
    page.evaluate(
        """(files) => {
          const data = new DataTransfer();
          for (const [name, content] of files)
            data.items.add(new File([content], name, { type: "application/json" }));
          const target = document.querySelector("#tr-explorer .tr-frame");
          for (const type of ["dragenter", "dragover", "drop"]) {
            target.dispatchEvent(
              new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
          }
        }""",
        files,
    )


def test_files_dropped_together_are_compared_or_refused(tabs):
    page = tabs()
    one, other = viz_runs.toy_run(6), viz_runs.toy_run(8, template=chain(3))
    stranger = viz_runs.toy_run(5, prompt_length=9)
    drop_several(page, [["a.json", one.to_json()], ["b.json", other.to_json()]])
    at(page, steps=6)
    assert rows(page, 2).first.is_visible()
    for files, words in [
        (
            [["a.json", one.to_json()], ["c.json", stranger.to_json()]],
            "Run 2 has another prompt than run 1",
        ),
        ([["a.json", one.to_json()], ["d.json", "{"]], "not a complete trace"),
        ([["a.json", "{}"]] * 5, "up to 4 runs of one prompt"),
    ]:
        drop_several(page, files)
        page.locator("#tr-explorer [role=alert]").get_by_text(words).wait_for(timeout=SOON_MS)
        at(page, steps=6)
        click(page, "Dismiss")
    rows(page, 2)


def test_bad_settings_are_told(tabs):
    page = tabs()
    choose_variations(page, "oak")
    page.locator("#tr-controls").get_by_role("button", name="Compare", exact=True).last.click()
    page.locator("#tr-explorer [role=alert]").get_by_text(
        "“oak” is nothing to compare with"
    ).wait_for(timeout=SOON_MS)
    at(page, step=0, steps=0)
