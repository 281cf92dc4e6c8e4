"""A run as one web page: what the file holds, and what it does in a browser that has no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.hand_runs import telling_run
from tr_core.trees.templates import chain
from viz.export import STATIC, bundle, to_html

MODULES = sorted(STATIC.rglob("*.js"))
IMPORT = re.compile(r'^import \{[^}*]*\} from "\.\.?/[\w./-]+\.js";$', re.MULTILINE)


def hostile(trace):
    """The same run with pieces that would like to be markup."""
    pieces = {
        t: ["</script><script>window.pwned=1</script>", *viz_runs.HOSTILE][t % 20]
        for t in trace.pieces
    }
    pieces |= {
        1: "<!--<script>",
        2: "\u2028\u2029",
        3: "]]></style><style>*{display:none}",
        4: '"><img src=x onerror=1>',
    }
    return msgspec.structs.replace(trace, pieces=pieces, partial_bytes={}, text=pieces[1] * 9)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def record_of(page):
    """The records, read as a browser would: up to the first end tag of a script, then unpacked."""
    return json.loads(unpacked(page, "record"))


def unpacked(page, block):
    found = re.search(
        rf'<script type="text/plain" id="tr-saved-{block}">(.*?)</script', page, re.DOTALL
    )[1]
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", found), (
        "nothing in it means anything to a reader of HTML"
    )
    return gzip.decompress(base64.b64decode(found)).decode()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name)
def test_modules_are_of_the_form_that_the_page_can_hold(path):
    source = path.read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    assert len(re.findall(r"^\s*import\b", code, re.MULTILINE)) == len(IMPORT.findall(source)), (
        "another kind of import"
    )
    assert not re.search(r"\bimport\(", code), "a module fetched later"
    assert not re.search(
        r"\bas \w+[^}]*\} from|^export (?!(async )?(function|class|const|let) )", code, re.MULTILINE
    )
    assert not re.search(r"</?script|<!--", source), "would end the page's script"
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|eval|innerHTML|outerHTML|insertAdjacentHTML)\b", code
    )


def test_a_bundle_keeps_the_names_of_modules_apart(tmp_path):
    (tmp_path / "a.js").write_text(
        '// @ts-check\nimport { twice } from "./b.js";\nimport {\n  ONE,\n} from "./c.js";\n'
        "const own = 1;\nconsole.log(twice(ONE) + own);\n"
    )
    (tmp_path / "b.js").write_text(
        'import { ONE } from "./c.js";\nconst own = ONE + 1;\nexport function twice(n) {}\n'
    )
    (tmp_path / "c.js").write_text("export const ONE = 1;\n")
    assert bundle("a.js", tmp_path).split("\n\n") == [
        "\nconst module_c = (() => {\nconst ONE = 1;\nreturn { ONE };\n})();",
        (
            "const module_b = (() => {\nconst { ONE } = module_c;\nconst own = ONE + 1;\nfunction"
            " twice(n) {}\nreturn { twice };\n})();"
        ),
        (
            "const module_a = (() => {\nconst { twice } = module_b;\nconst {\n  ONE,\n} ="
            " module_c;\nconst own = 1;\nconsole.log(twice(ONE) + own);\nreturn {  };\n})();\n"
        ),
    ]


def test_the_page_holds_the_run_and_names_no_other_place():
    trace = viz_runs.toy_run(5, stop_reason="eos")
    page = to_html(trace)
    run, analysis, view = record_of(page)
    assert run == json.loads(viz.run_record(trace))
    assert analysis == json.loads(viz.analysis_record(trace))
    assert view == {"type": "view", "step": 1, "phase": None}
    tags = Tags(page).found
    assert [a for t, a in tags if t == "script"] == [
        {"type": "text/plain", "id": "tr-saved-record"},
        {"type": "text/plain", "id": "tr-saved-plotly"},
        {"type": "module"},
    ]
    assert not [a for _, a in tags if "src" in a or a.get("href", "data:,") != "data:,"]
    addresses = set(
        re.findall(
            r"(?:https?:)?//[\w.]+\.[\w/.]+",
            re.sub(r'<script type="text/plain".*?</script', "", page),
        )
    )
    assert addresses == {"http://www.w3.org/2000/svg"}, (
        "the name of SVG's elements is no place that is asked"
    )


def test_only_the_explorer_and_plotly_may_run():
    """By the hash of its very text; of styles the page's own, and the empty one that plotly starts
    with.
    """
    page = to_html(viz_runs.toy_run(1))
    policy = next(a["content"] for t, a in Tags(page).found if a.get("http-equiv"))
    own = re.search(r'<script type="module">(.*?)</script', page, re.DOTALL)[1]
    style = re.search(r"<style[^>]*>(.*?)</style", page, re.DOTALL)[1]
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (own, unpacked(page, "plotly"), style, "")
    ]
    assert (
        policy
        == f"default-src 'none'; script-src {hashes[0]} {hashes[1]}; style-src 'unsafe-hashes'"
        f" {hashes[2]} {hashes[3]}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "plotly.js v" in unpacked(page, "plotly")[:200]


def test_hostile_text_is_data():
    trace = hostile(viz_runs.toy_run(12))
    page = to_html(trace)
    assert len(re.findall("<script", page)) == len(re.findall("</script", page)) == 3
    assert [t for t, _ in Tags(page).found].count("style") == 1
    assert "\u2028" not in page
    assert record_of(page)[0] == json.loads(viz.run_record(trace))
    page.encode("utf-8")


def test_odd_runs_become_pages():
    empty = viz_runs.toy_run(0, prompt_length=2)
    assert record_of(to_html(empty))[0]["steps"] == []
    surrogate = msgspec.structs.replace(viz_runs.tiny_run(), pieces={0: "\ud800", 1: "\x00\r\n"})
    to_html(surrogate).encode("utf-8")


def test_a_hundred_steps_stay_below_three_megabytes():
    assert len(to_html(viz_runs.toy_run(100)).encode("utf-8")) < 3_000_000


@pytest.fixture
def saved(browser, tmp_path):
    """Opens exported pages from the disk with the network cut; asserts that none was missed and
    nothing failed.
    """
    contexts, faults = [], []

    def opener(trace, **options):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(to_html(trace), encoding="utf-8")
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | options))
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        known = (path.as_uri(), "data:")
        page.on("request", lambda r: None if r.url.startswith(known) else faults.append(r.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None
        )
        page.on("dialog", lambda d: (faults.append(d.message), d.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_selector("#tr-explorer[data-steps]:not([data-steps='0'])")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert faults == []


def at(page, step, phase="accept"):
    page.wait_for_selector(f"#tr-explorer[data-step='{step}'][data-phase='{phase}']")


def test_without_a_network_it_steps_and_explains(saved):
    trace = viz_runs.toy_run(9, reference_identical=True)
    page = saved(trace)
    at(page, 1)
    assert page.locator("#tr-explorer").get_attribute("data-steps") == "9"
    for name, step in [("Forward", 2), ("Last", 9), ("Back", 8), ("First", 1)]:
        page.get_by_role("button", name=name, exact=True).click()
        at(page, step)
    page.keyboard.press("ArrowRight")
    for phase in viz.PHASES:
        page.get_by_role("button", name=phase, exact=True).click()
        at(page, 2, phase)
        statuses = page.locator("[data-node]").evaluate_all("all => all.map(e => e.dataset.status)")
        assert statuses == list(trace.steps[1].statuses)
    assert page.locator("[data-row]").count() == len(trace.steps[1].rows)
    page.locator("[data-node='3']").click()
    inspector = page.get_by_role("region", name="Inspector")
    page.wait_for_function("document.querySelector('.tr-is-r') === null")
    assert f"id {trace.steps[1].tokens[3]}" in inspector.inner_text()
    assert "lossless ✓" in page.locator("#tr-explorer header").inner_text()
    assert "toy-bigram" in page.title()


def test_without_a_network_every_panel_works(saved):
    """Used, not only opened. The fixture notes requests, and what the policy refused."""
    page = saved(telling_run())

    def use(panel, selector, step, phase="accept"):
        page.get_by_role("tab", name=panel, exact=True).click()
        target = page.locator(selector).first
        target.wait_for()
        target.click(force=True)
        at(page, step, phase)

    use("Diagnosis", ".tr-why-step + div button >> nth=1", 3)
    assert "evicted it" in page.locator(".tr-why-step").inner_text()
    use("Metrics", "[data-figure=accepted_per_step] .barlayer .point >> nth=3", 4)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 8")
    use("Attention mask", ".tr-mask", 4)
    assert "It sees 5 tokens of the prefix" in page.locator(".tr-mask-said").inner_text()
    page.get_by_role("tab", name="Matrix map", exact=True).click()
    page.get_by_label("Find a row, or rows that lost a token").fill("c")
    page.get_by_text("Rows that lost the tokens found").wait_for()
    page.get_by_role("button", name="“a”").click()
    at(page, 1, "recycle")
    page.get_by_role("tab", name="ms and bytes", exact=True).click()
    page.get_by_text("all 5 steps", exact=True).wait_for()
    page.get_by_role("tab", name="Why so many nodes?", exact=True).click()
    page.get_by_text("This run's tree is fixed").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_one_picture_and_fits_a_phone(saved, scheme):
    page = saved(viz_runs.toy_run(4), viewport={"width": 390, "height": 844}, color_scheme=scheme)
    ground, card = page.evaluate("""() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector(".tr-panel")).backgroundColor]""")
    expected = {
        "light": ("rgb(251, 251, 250)", "rgb(255, 255, 255)"),
        "dark": ("rgb(15, 18, 22)", "rgb(23, 27, 33)"),
    }
    assert (ground, card) == expected[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_several_runs_travel_side_by_side(saved):
    runs = [viz_runs.toy_run(8), viz_runs.toy_run(12, template=chain(3)), viz_runs.toy_run(8)]
    page = saved(runs)
    at(page, 1)
    panel = page.locator("[data-panel=compare]")
    assert panel.locator("tbody tr").count() == 3, "one of them is there twice"
    # Nobody is there to run or to save anything.
    assert "Save as" not in panel.inner_text()
    panel.locator("tbody tr").nth(1).locator("th button").click()
    page.wait_for_selector("#tr-explorer[data-steps='12']")
    page.get_by_role("tab", name="Diagnosis").click()
    page.locator("[data-panel=diagnosis]").get_by_text("Why step 1 ended").wait_for()


def test_hostile_text_stays_text_in_the_browser(saved):
    page = saved(hostile(viz_runs.toy_run(6)))
    at(page, 1)
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    at(page, 6)
    page.locator("[data-node='2']").click()
    assert page.evaluate("window.pwned") is None
    assert page.locator("main :is(script, img, style, iframe)").count() == 0


def test_a_prompt_of_thousands_of_tokens_does_not_freeze_it(saved):
    page = saved(viz_runs.toy_run(3, prompt_length=4000))
    assert page.locator(".tr-prompt .tr-token").count() == 64
    page.get_by_role("button", name="show 3936 earlier prompt tokens").click()
    assert page.locator(".tr-prompt .tr-token").count() == 4000
    page.keyboard.press("ArrowRight")
    at(page, 2)
