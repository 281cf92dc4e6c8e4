"""Runs that travel, on the real page: recorded examples, files dropped, links, and the tree as a
picture.
"""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit
from xml.etree import ElementTree

import msgspec
import pytest

from tests.support import viz_runs
from tests.support.app_page import SOON_MS, at, click
from tr_core.errors import SettingsError
from ui.page.controls import PRESETS
from ui.server.limits import Limits
from ui.tab import examples, links
from ui.tab.browser_state import SaveRequest

TITLES = [p["name"] for p in json.loads(PRESETS.read_text(encoding="utf-8"))]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>hit = 1</script>\n{{value}} ${hit = 1} & + % # 🦜 \u05e9\u05dc\u05d5\u05dd"
VALUES = {
    "prompt": HOSTILE,
    "model": "pocket",
    "drafter": "token_recycling",
    "tree": "12",
    "tree file": None,
    "k": 4,
    "tokens": 20,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 0,
    "seed": 7,
    "stop": "a\nb c",
    "ignore_eos": True,
    "prompt_rows": False,
    "chat": False,
    "start": "hot",
    "matrix file": None,
}


def multi(query):
    return [
        (key, value)
        for key, found in parse_qs(query, keep_blank_values=True).items()
        for value in found
    ]


def test_a_link_brings_back_what_it_was_made_of():
    query = links.to_query(VALUES)
    values, sentence = links.from_query(multi(query), Limits())
    assert sentence is None
    assert values == {
        k: v for k, v in VALUES.items() if k not in ("tree file", "matrix file", "top_k", "chat")
    }
    assert "top_k" not in query, "what everybody has is left out"
    short = links.to_query(
        VALUES | {"prompt": "Once upon", "stop": "", "start": "cold", "temperature": 0, "top_p": 1}
    )
    assert short.startswith(
        "prompt=Once+upon&model=pocket&drafter=token_recycling&tree=12&k=4&tokens=20&seed=7"
    )


def test_a_link_too_long_is_told():
    with pytest.raises(SettingsError, match="shorten the prompt, or save the run"):
        links.to_query(VALUES | {"prompt": "a" * 7000})
    values, sentence = links.from_query([("prompt", "a" * 300_000)], Limits())
    assert (values, "too long" in sentence) == ({}, True)


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("k", ["banana", "-1", "1e3", "٣", "8 ", "", "9" * 30, "NaN"]),
        ("tokens", ["0", "1025", "1.5"]),
        ("temperature", ["nan", "inf", "-1", "1e9", ".", "0x1"]),
        ("seed", ["-1", "9" * 19]),
        ("drafter", ["oracle", "__class__", "NONE"]),
        ("tree", ["/etc/passwd", "tree.json", "-3", "oak"]),
        ("model", ["a b", "<img>", "x" * 200, "C:\\x", ""]),
        ("start", ["warm"]),
        ("ignore_eos", ["true", "2"]),
    ],
)
def test_what_does_not_fit_is_named_and_left(key, texts):
    for text in texts:
        values, sentence = links.from_query(
            [("prompt", "p"), (key, text), ("__theme", "dark"), ("x", "y")], Limits()
        )
        assert values == {"prompt": "p"}, text
        assert f"{key}={text[:40]}" in sentence


def test_settings_that_do_not_go_together_are_left():
    for pairs in ([("top_p", "0.5")], [("k", "99")], [("stop", "x")] * 40, [("stop", "\n")]):
        values, sentence = links.from_query([("prompt", "p"), *pairs], Limits())
        assert values["prompt"] == "p"
        assert not {"k", "top_p"} & values.keys()
        assert sentence or pairs == [("stop", "\n")]


def test_examples_are_recorded_runs_of_the_presets():
    found = examples.recorded(TITLES)
    assert list(found) == ["story", "maths", "python", "copy"]
    for example in found.values():
        assert example.path.stat().st_size <= 1_000_000
        trace = example.read()
        assert trace.reference_identical is True
        assert len(trace.steps[examples.telling_step(trace) - 1].path) == max(
            len(s.path) for s in trace.steps
        )


def alert(page, words):
    page.locator("#tr-explorer [role=alert]").get_by_text(words).wait_for(timeout=SOON_MS)


def drop(page, name, content, size=None):
    """Drop a file as a hand would: over the explorer first, then let go. ``size`` only pretends."""
    page.evaluate(
        """([name, content, size]) => {
          const data = new DataTransfer();
          const file = new File([content], name, { type: "application/json" });
          data.items.add(file);
          if (size)
            Object.defineProperty(File.prototype, "size", { get: () => size, configurable: true });
          const target = document.querySelector("#tr-explorer .tr-frame");
          for (const type of ["dragenter", "dragover", "drop"]) {
            target.dispatchEvent(
              new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
            if (type === "dragover")
              window.hinted = getComputedStyle(document.querySelector(".tr-drop-hint")).display;
          }
        }""",
        [name, content, size],
    )


def test_an_example_is_shown_at_once_and_step_begins_a_run(tabs, tmp_path):
    page = tabs()
    at(page, step=0, steps=0)
    click(page, "Maths")
    trace = examples.recorded(TITLES)["maths"].read()
    at(page, step=examples.telling_step(trace), steps=len(trace.steps), phase="accept")
    label = page.get_by_text("recording · Step for your own")
    assert label.get_attribute("title").startswith("Maths: pencils.")
    assert page.get_by_label("Prompt", exact=True).input_value().startswith("Question: Mia")
    page.get_by_role("button", name="Save and open").click()
    with page.expect_download(timeout=SOON_MS) as download:
        click(page, "Save as a web page")
    assert download.value.suggested_filename == "run-pocket-token_recycling.html"
    download.value.save_as(tmp_path / "run.html")
    assert "“Question: Mia fills 4 boxes" in (tmp_path / "run.html").read_text(encoding="utf-8")
    click(page, "Step")
    at(page, step=1, steps=1)
    assert "recording" not in page.locator("#tr-explorer header").inner_text()
    click(page, "Reset")
    at(page, step=0, steps=0)
    page.get_by_label("Prompt", exact=True).fill("my own words")
    click(page, "Copy")
    page.wait_for_selector("#tr-explorer [data-node='80']")
    assert page.get_by_label("Prompt", exact=True).input_value() == "my own words"


def test_a_dropped_run_opens_and_a_bad_one_is_told(tabs):
    page = tabs()
    click(page, "Step")
    at(page, step=1, steps=1)
    trace = viz_runs.toy_run(5)
    drop(page, "run.json", trace.to_json())
    assert page.evaluate("window.hinted") == "flex"
    at(page, step=5, steps=5)
    for name, content, words in [
        ("half.json", trace.to_json()[:3000], "not a complete trace"),
        (
            "half.json",
            trace.to_json()[:3000],
            "not a complete trace",
        ),  # told again, though it is the same
        ("picture.png", "\x89PNG", "not a complete trace"),
        ("new.json", '{"schema": 99}', "newer than schema"),
    ]:
        drop(page, name, content)
        alert(page, words)
        at(page, step=5, steps=5)
        click(page, "Dismiss")
    drop(page, "huge.json", "{}", size=200_000_001)
    alert(page, "“huge.json” has 200 MB; the limit is 200 MB")
    at(page, step=5, steps=5)
    assert page.locator(".tr-is-dropping").count() == 0
    click(page, "Step")
    at(page, step=1, steps=1)


def test_a_file_that_is_too_large_or_broken_is_told_when_it_is_chosen_too(tabs, tmp_path):
    page = tabs()
    page.get_by_role("button", name="Save and open").click()
    huge, broken = tmp_path / "huge.json", tmp_path / "broken.json"
    with huge.open("wb") as file:
        file.truncate(230_000_000)  # a hole: it takes no room
    broken.write_text(viz_runs.toy_run(2).to_json()[:2000], encoding="utf-8")
    for path, words in [
        (huge, "“huge.json” has 230 MB; the limit is 200 MB"),
        (broken, "not a complete"),
    ]:
        with page.expect_file_chooser() as chooser:
            click(page, "Open a saved run")
        chooser.value.set_files(path)
        alert(page, words)
        at(page, step=0, steps=0)
        click(page, "Dismiss")


def test_a_link_fills_the_controls_and_runs_nothing(tabs, app_url):
    expect = pytest.importorskip("playwright.sync_api").expect
    page = tabs()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Prompt", exact=True).fill(HOSTILE)
    page.get_by_label("New tokens", exact=True).fill("33")
    page.get_by_role("button", name="Save and open").click()
    click(page, "Copy link")
    page.wait_for_function(
        "document.querySelector('#tr-link textarea')?.value.startsWith('http')", timeout=SOON_MS
    )
    link = page.locator("#tr-link textarea").input_value()
    assert page.evaluate("navigator.clipboard.readText()") == link
    assert parse_qs(urlsplit(link).query)["tokens"] == ["33"]

    page.goto(link)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(HOSTILE, timeout=SOON_MS)
    assert page.get_by_label("New tokens", exact=True).input_value() == "33"
    at(page, step=0, steps=0)
    assert page.evaluate("window.hit") is None

    bad = urlencode(
        {"prompt": "once", "k": "<img src=x onerror=hit=1>", "tokens": "9999999", "drafter": "none"}
    )
    page.goto(f"{app_url}?{bad}")
    alert(page, "k=<img src=x onerror=hit=1>, tokens=9999999")
    assert page.get_by_label("Prompt", exact=True).input_value() == "once"
    assert page.get_by_label("k", exact=True).input_value() == "8"
    assert page.get_by_label("Drafter", exact=True).input_value() == "none"
    assert page.evaluate("window.hit") is None
    click(page, "Step")
    at(page, step=1, steps=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tree_is_saved_as_seen(tabs, tmp_path, scheme):
    page = tabs(color_scheme=scheme)
    if scheme == "dark":
        page.goto(page.url + "?__theme=dark")
        page.wait_for_selector("#tr-explorer")
    click(page, "Story")
    page.wait_for_selector("#tr-explorer [data-node='80']")
    step = page.locator("#tr-explorer").get_attribute("data-step")
    pictures = {}
    for phase in ("accept", "draft"):
        click(page, phase)
        at(page, phase=phase)
        for name in ("Save SVG", "Save PNG"):
            with page.expect_download(timeout=SOON_MS) as download:
                click(page, name)
            file = tmp_path / download.value.suggested_filename
            download.value.save_as(file)
            pictures[file.name] = file.read_bytes()
    assert sorted(pictures) == [
        f"tree-step-{step}-{p}.{f}" for p in ("accept", "draft") for f in ("png", "svg")
    ]

    accept = ElementTree.fromstring(pictures[f"tree-step-{step}-accept.svg"])
    draft = ElementTree.fromstring(pictures[f"tree-step-{step}-draft.svg"])
    chips = [e for e in accept.iter(f"{SVG}rect") if e.get("rx")]
    assert len(chips) == 82, "81 nodes and the bonus"
    assert len([e for e in draft.iter(f"{SVG}rect") if e.get("rx")]) == 81, (
        "no bonus before the model has spoken"
    )
    assert re.search(r"step \d+: \d of \d\d accepted, \+ 1 bonus", accept.find(f"{SVG}title").text)
    ground, card = accept.find(f"{SVG}rect").get("fill"), chips[5].get("fill")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 27, 33)"}[scheme] == card
    assert all(e.get("font-family") and e.get("font-size") for e in accept.iter(f"{SVG}text"))
    text = pictures[f"tree-step-{step}-accept.svg"].decode()
    assert not re.search(
        r"var\(|light-dark|color-mix|color\(|class=|style=|data-|<script|href", text
    )

    png = pictures[f"tree-step-{step}-accept.png"]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    shown = page.locator(".tr-shapes").bounding_box()
    assert int.from_bytes(png[16:20], "big") == pytest.approx(2 * shown["width"], abs=2)


def test_a_saved_run_of_strange_names_makes_a_harmless_file(tmp_path):
    from ui.tab.tab import Tab

    trace = viz_runs.tiny_run()
    strange = msgspec.structs.replace(
        trace, info=msgspec.structs.replace(trace.info, model="a/../b\0<c>")
    )
    file = tmp_path / "strange.json"
    file.write_text(strange.to_json(), encoding="utf-8")
    tab = Tab(None, Limits())
    assert tab.open([file]).startswith('{"type":"run"')
    assert tab.saving.save(SaveRequest("html"), tmp_path).endswith("run-b__c_-token_recycling.html")
    assert tab.saving.save(SaveRequest("json"), tmp_path).endswith("run-b__c_-token_recycling.json")
