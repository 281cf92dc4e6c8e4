"""The explorer by itself in a browser tab, fed with records: fixtures, and the few things each test
does with it.
"""

from __future__ import annotations

import pytest

import viz
from tests.support.browser import served

HARNESS = """<!doctype html><html lang="en" style="color-scheme: light dark">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Explorer</title><link rel="icon" href="data:,">
<body style="margin: 0; background: light-dark(#fbfbfa, #0f1216)">
<input aria-label="Elsewhere">
<div id="host"></div><script type="module">
import { mount } from "./tr/explorer.js";
window.requests = [];
const onRequest = (request) => window.requests.push(request);
window.explorer = mount(document.getElementById("host"), { onRequest });
</script>"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """A folder with the explorer's files and plotly, served as the app serves them."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "tr").mkdir()
    for file in viz.STATIC.iterdir():
        (folder / "tr" / file.name).symlink_to(file)
    (folder / "tr" / "plotly.js").symlink_to(viz.PLOTLY)
    (folder / "index.html").write_text(HARNESS, encoding="utf-8")
    with served(folder) as url:
        yield url


@pytest.fixture
def open_page(browser, address):
    """Opens pages; afterwards asserts that none had an error, opened a dialog, or asked anybody
    else for anything.
    """
    contexts, faults = [], []

    def opener(width=1160, height=860, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:")) else faults.append(r.url),
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda d: (faults.append(d.message), d.dismiss()))
        page.goto(address)
        page.wait_for_function("window.explorer")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(open_page):
    return open_page()


def feed(page, *records):
    """Hand over records, and wait until they are drawn."""
    page.evaluate(
        """records => { records.forEach(r => window.explorer.receive(r));
           return new Promise(done =>
             requestAnimationFrame(() => requestAnimationFrame(done))) }""",
        list(records),
    )


def settle(page):
    feed(page)


def where(page):
    """(step, steps, phase) as the root tells them."""
    data = page.evaluate("({...document.querySelector('#tr-explorer').dataset})")
    return int(data["step"]), int(data["steps"]), data["phase"]


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)
